/** What a user does with images and registries: the stock CLI, Debian's registry, a real userland. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { makeCertificate } from "@gantry/testkit/certificate";
import { htpasswdLine } from "@gantry/testkit/htpasswd";
import { digestOf, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { startTokenServer } from "@gantry/testkit/token-server";
import { makeUserland } from "@gantry/testkit/userland";
import { describeFiles } from "../src/file-tree.ts";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

/** The message of a command that must fail. */
async function refused(...args: string[]): Promise<string> {
  const ran = await engine.tryDocker(args);
  assert.notEqual(ran.code, 0, ran.stdout);
  return ran.stderr.trim();
}

async function login(host: string, password = "secret"): Promise<void> {
  await engine.docker(["login", "--username", "me", "--password-stdin", host], { input: password });
}

describe("a registry with TLS of a private authority and passwords", () => {
  it("is used after docker login, and not before", async () => {
    await using certificate = await makeCertificate("localhost");
    const dir = path.join(engine.root, "tls");
    await mkdir(dir);
    await writeFile(path.join(dir, "htpasswd"), await htpasswdLine("me", "secret"));
    await using registry = await startRegistry({
      dir,
      tls: { certificate: certificate.certFile, key: certificate.keyFile },
      htpasswd: path.join(dir, "htpasswd"),
    });
    const certs = path.join(engine.root, "certs.d", registry.host);
    await mkdir(certs, { recursive: true });
    await copyFile(certificate.certFile, path.join(certs, "ca.crt"));
    const name = `${registry.host}/private/busybox:1`;
    await docker("tag", "busybox", name);
    assert.match(await refused("push", name), /no basic auth credentials/);
    await assert.rejects(login(registry.host, "wrong"), /unauthorized|401 Unauthorized/);
    await login(registry.host);
    assert.match(await docker("push", name), /1: digest: sha256:/);
    const { Descriptor } = JSON.parse(
      (
        await ask(engine, {
          path: `/v1.52/distribution/${name}/json`,
          headers: {
            "x-registry-auth": Buffer.from(
              JSON.stringify({ username: "me", password: "secret" }),
            ).toString("base64url"),
          },
        })
      ).body,
    ) as { Descriptor: { digest: string } };
    const id = await docker("inspect", "--format", "{{.Id}}", name);
    assert.equal(Descriptor.digest, id);
    await docker("logout", registry.host);
    await docker("rmi", name);
    assert.match(await refused("pull", name), /no basic auth credentials/);
    await login(registry.host);
    await docker("pull", name);
    assert.equal(await docker("inspect", "--format", "{{.Id}}", name), id);
    await docker("rmi", name);
  });
});

describe("a registry with a token server", () => {
  it("lets anybody pull, and only who may push push", async () => {
    await using certificate = await makeCertificate("token");
    const [service, issuer] = ["test-registry", "test-issuer"];
    await using tokens = await startTokenServer({
      ...{ certificate, service, issuer },
      users: { me: "secret" },
      anonymous: ["pull"],
    });
    await using registry = await startRegistry({
      dir: path.join(engine.root, "token"),
      token: { realm: tokens.realm, service, issuer, rootCertBundle: certificate.certFile },
    });
    const name = `${registry.host}/open/busybox:1`;
    await docker("tag", "busybox", name);
    assert.match(await refused("push", name), /denied|unauthorized/);
    await login(registry.host);
    assert.match(await docker("push", name), /1: digest: sha256:/);
    await docker("logout", registry.host);
    await docker("rmi", name);
    assert.match(await docker("pull", name), new RegExp(`Downloaded newer image for ${name}`));
    assert.equal(tokens.asked.at(-1), ": repository:open/busybox:pull");
    // The registry names the actions in any order.
    assert.ok(
      tokens.asked.some((each) => /^me: repository:open.busybox:(pull,push|push,pull)$/.test(each)),
    );
    await docker("rmi", name);
  });
});

describe("a real userland", () => {
  it("comes back from a registry as it went, file by file", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "userland") });
    await docker("import", "-c", 'CMD ["sleep","600"]', await makeUserland(), "userland:0");
    const changes = [
      "useradd --create-home --uid 1234 someone; chown -R 1234:1234 /srv",
      "rm -rf /usr/share/doc /etc/issue; mkdir /usr/share/doc; echo new > /usr/share/doc/readme",
      "ln /etc/passwd /srv/passwd; ln /etc/passwd /var/passwd; mkfifo -m 600 /srv/pipe; touch -d @1.123456789 /srv/old",
      "cp /bin/cat /srv/suid; chmod 6755 /srv/suid; truncate -s 100M /srv/sparse; mv /opt /opt2; ln -s nowhere /srv/link",
      "dpkg --purge --force-all login >/dev/null 2>&1; dpkg-query -W > /srv/packages",
    ];
    for (const [index, command] of changes.entries()) {
      const made = `layer${String(index)}`;
      await docker("run", "--name", made, `userland:${String(index)}`, "sh", "-c", command);
      await docker("commit", made, `userland:${String(index + 1)}`);
      await docker("rm", made);
    }
    const last = `userland:${String(changes.length)}`;
    const name = `${registry.host}/userland:1`;
    await docker("tag", last, name);
    await docker("run", "-d", "--name", "ours", "--net", "none", last, "sleep", "600");
    const files = async (container: string): Promise<Map<string, string>> => {
      const pid = await docker("inspect", "--format", "{{.State.Pid}}", container);
      const without = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
      return await describeFiles(`/proc/${pid}/root`, without);
    };
    const ours = await files("ours");
    assert.ok(ours.size > 2000, String(ours.size));
    await docker("push", name);
    const id = await docker("inspect", "--format", "{{.Id}}", name);
    const layers = await docker("inspect", "--format", "{{json .RootFS.Layers}}", name);
    assert.equal((JSON.parse(layers) as string[]).length, changes.length + 1);
    await docker("rm", "-f", "ours");
    const tags = changes.map((_, index) => `userland:${String(index)}`);
    await docker("rmi", name, last, ...tags);
    assert.match(await refused("run", "--pull", "never", name), /No such image/);
    await docker("pull", name);
    assert.equal(await docker("inspect", "--format", "{{.Id}}", name), id);
    await docker("run", "-d", "--name", "theirs", "--net", "none", name, "sleep", "600");
    const theirs = await files("theirs");
    assert.deepEqual(
      [...theirs].filter(([file, text]) => ours.get(file) !== text),
      [],
    );
    assert.deepEqual([...theirs.keys()].sort(), [...ours.keys()].sort());
    assert.equal(ours.get("/var/passwd")?.split(" ").at(-1), "/etc/passwd");
    await docker("rm", "-f", "theirs");
    await docker("rmi", name);
  });
});

describe("images with the CLI", () => {
  it("are filtered by every key", async () => {
    const empty = engine.root;
    const make = async (name: string, ...changes: string[]): Promise<void> => {
      const tar = path.join(empty, "empty.tar");
      await writeFile(tar, await makeLayer([{ header: { name: `${name}/`, type: "directory" } }]));
      await docker("import", ...changes.flatMap((each) => ["-c", each]), tar, name);
    };
    await make("filter/old:1", "LABEL a=1");
    await make("filter/new:1", "LABEL a=2");
    const list = async (...filters: string[]): Promise<string[]> =>
      (
        await docker(
          ...["images", "--format", "{{.Repository}}"],
          ...filters.flatMap((each) => ["--filter", each]),
        )
      )
        .split("\n")
        .filter((line) => line.startsWith("filter/"));
    assert.deepEqual(await list(), ["filter/new", "filter/old"]);
    assert.deepEqual(await list("label=a"), ["filter/new", "filter/old"]);
    assert.deepEqual(await list("label=a=1"), ["filter/old"]);
    assert.deepEqual(await list("before=filter/new:1"), ["filter/old"]);
    assert.deepEqual(await list("since=filter/old:1"), ["filter/new"]);
    assert.deepEqual(await list("reference=filter/n*"), ["filter/new"]);
    assert.deepEqual(await list("until=1s", "reference=nothing"), []);
    assert.deepEqual(await list("dangling=true"), []);
    assert.match(await refused("images", "--filter", "nonsense=1"), /invalid filter 'nonsense'/);
    assert.match(
      await docker("image", "prune", "-af", "--filter", "label=a=1"),
      /untagged: filter\/old:1[\s\S]*Total reclaimed space: /,
    );
    assert.deepEqual(await list(), ["filter/new"]);
    // A repository of its own that is old by its config, but came here just now.
    await make("filter/keep:1", "LABEL stays=yes");
    const prune = async (...filters: string[]): Promise<string[]> => {
      const each = filters.flatMap((filter) => ["--filter", filter]);
      await docker("image", "prune", "-af", ...each, "--filter", "label!=other");
      return await list();
    };
    assert.deepEqual(await prune("until=1h"), ["filter/keep", "filter/new"]);
    assert.deepEqual(await prune("until=2020-01-01T00:00:00Z"), ["filter/keep", "filter/new"]);
    assert.deepEqual(await prune("label=a", "label!=a=2"), ["filter/keep", "filter/new"]);
    await docker("tag", "busybox", "kept/busybox:1");
    await docker("create", "--name", "holder", "busybox");
    assert.deepEqual(await prune("label!=stays"), ["filter/keep"]);
    assert.deepEqual(await prune("until=1ns", "label=stays=yes"), []);
    assert.notEqual(await docker("images", "-q", "kept/busybox"), "", "an image in use was pruned");
    await docker("rm", "holder");
    await docker("rmi", "kept/busybox:1");
    assert.match(
      await refused("image", "prune", "-af", "--filter", "until=yesterday"),
      /failed to parse value as time or duration: "yesterday"/,
    );
  });

  it("are found by the containers that use them, which keep them from being removed", async () => {
    await docker("create", "--name", "base", "busybox");
    await docker("commit", "base", "derived:1");
    await docker("create", "--name", "child", "derived:1");
    const names = async (ancestor: string): Promise<string[]> =>
      (await docker("ps", "-a", "--filter", `ancestor=${ancestor}`, "--format", "{{.Names}}"))
        .split("\n")
        .sort();
    const busybox = await names("busybox");
    assert.ok(busybox.includes("base") && busybox.includes("child"));
    assert.deepEqual(await names("derived:1"), ["child"]);
    const id = await docker("images", "-q", "--no-trunc", "derived:1");
    assert.deepEqual(await names(id.slice("sha256:".length, "sha256:".length + 12)), ["child"]);
    // Equal layers make no family.
    await docker("commit", "base", "derived:2");
    await docker("create", "--name", "nephew", "derived:2");
    await docker("commit", "nephew", "derived:3");
    await docker("create", "--name", "grandnephew", "derived:3");
    assert.deepEqual(await names("derived:1"), ["child"]);
    assert.deepEqual(await names("derived:2"), ["grandnephew", "nephew"]);
    await docker("rm", "nephew", "grandnephew");
    await docker("rmi", "derived:3", "derived:2");
    assert.deepEqual(await names("nosuchimage"), [""]);
    assert.deepEqual(await names("No Image"), [""]);
    assert.match(
      await refused("rmi", "derived:1"),
      /conflict: unable to remove repository reference "derived:1" \(must force\) - container [0-9a-f]{12} is using its referenced image [0-9a-f]{12}/,
    );
    await docker("start", "child");
    await docker("rm", "-f", "base", "child");
    await docker("rmi", "derived:1");
  });

  it("are kept from the moment that a container uses them to the moment that it is gone", async () => {
    await docker("create", "--name", "origin", "busybox");
    await docker("commit", "origin", "moment:1");
    await docker("rm", "origin");
    const remove = (options = ""): ReturnType<typeof ask> =>
      ask(engine, { method: "DELETE", path: `/images/moment:1${options}` });
    const post = (target: string, body?: object): ReturnType<typeof ask> =>
      ask(engine, { method: "POST", path: target, ...(body !== undefined && { body }) });
    const created = await post("/containers/create", {
      ...{ Image: "moment:1", Cmd: ["sleep", "600"], HostConfig: { AutoRemove: true } },
    });
    assert.equal((await remove()).status, 409);
    const { Id } = JSON.parse(created.body) as { Id: string };
    await post(`/containers/${Id}/start`);
    const running = await remove("?force=1");
    assert.match(running.body, /\(cannot be forced\) - image is being used by running container/);
    const [gone] = await Promise.all([
      post(`/containers/${Id}/wait?condition=removed`),
      post(`/containers/${Id}/kill`),
    ]);
    assert.match(gone.body, /"StatusCode":137/);
    assert.equal((await remove()).status, 200);
  });

  it("are committed with changes while the container is paused", async () => {
    await docker("run", "-d", "--name", "busy", "busybox", "sleep", "600");
    await docker("exec", "busy", "sh", "-c", "echo made > /made");
    const id = await docker(
      ...["commit", "--author", "me", "--message", "a note", "--change", "ENV A=1"],
      ...["--change", 'ENTRYPOINT ["cat"]', "--change", 'CMD ["/made"]', "busy", "committed:1"],
    );
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.equal(await docker("inspect", "--format", "{{.State.Status}}", "busy"), "running");
    assert.equal(await docker("run", "--rm", "committed:1"), "made");
    const history = await docker("history", "--format", "{{.Comment}}", "committed:1");
    assert.equal(history.split("\n")[0], "a note");
    await docker("rm", "-f", "busy");
    await docker("rmi", "committed:1");
  });

  it("are told of by events when they are made of a container or of its files", async () => {
    const moment = (): string => (Date.now() / 1000).toFixed(3);
    await docker("run", "-d", "--name", "busy", "-l", "own=1", "busybox", "sleep", "600");
    const archive = path.join(engine.root, "exported.tar");
    await docker("export", "-o", archive, "busy");
    const since = moment();
    const ids = [
      await docker("commit", "--change", "LABEL more=2", "busy", "library/told"),
      await docker("commit", "--pause=false", "busy"),
      await docker("import", "--change", "LABEL more=2", archive, "told:imported"),
    ];
    const told = await docker("events", "--since", since, "--until", moment());
    const [first, second, third] = ids as [string, string, string];
    const commit = (image: string, reference: string): string =>
      `container commit (comment=, image=busybox, imageID=${image}, imageRef=${reference}, name=busy, own=1)`;
    const busy = await docker("inspect", "-f", "{{.Id}}", "busy");
    assert.deepEqual(
      told.split("\n").map((line) => line.replace(/^\S+ (\S+ \S+) \S+ /, "$1 ")),
      [
        "container pause (image=busybox, name=busy, own=1)",
        `image create (more=2, name=${first}, own=1)`,
        "image tag (more=2, name=told:latest, own=1)",
        commit(first, "told:latest"),
        "container unpause (image=busybox, name=busy, own=1)",
        `image create (name=${second}, own=1)`,
        commit(second, ""),
        "image tag (more=2, name=told:imported)",
        `image import (more=2, name=${third})`,
      ],
    );
    assert.deepEqual(
      new Set(told.split("\n").map((line) => line.split(" ")[3])),
      new Set([busy, ...ids]),
    );
    await docker("rm", "-f", "busy");
    await docker("rmi", ...ids);
  });

  it("take the room on disk that docker system df tells", async () => {
    const format = '{{if eq .Type "Images"}}{{.Size}}{{end}}';
    assert.match(await docker("system", "df", "--format", format), /\d/);
    const { body } = await ask(engine, { path: "/v1.51/system/df?type=image" });
    const { LayersSize } = JSON.parse(body) as { LayersSize: number };
    const data = path.join(engine.dataRoot, "image-service");
    const subtrees = ["content/blobs", "snapshots"].map((name) => path.join(data, name));
    // The tree of mount points below all containers is the engine's, whatever images there are; what
    // others have removed is being deleted.
    const exclude = ["snapshots/base", "snapshots/.trash"].map((each) => `--exclude=${each}`);
    const { stdout } = await mustRun(["du", "-scB1", ...exclude, ...subtrees]);
    const size = Number(stdout.trim().split("\n").at(-1)?.split("\t")[0]);
    assert.ok(Math.abs(LayersSize - size) <= size / 100, `${String(LayersSize)} ${String(size)}`);
  });

  it("are saved for one platform, loaded compressed, and cannot be loaded when broken", async () => {
    const file = path.join(engine.root, "saved.tar");
    await docker("tag", "busybox", "kept:1");
    await docker("save", "-o", file, "kept:1");
    await docker("rmi", "kept:1");
    await writeFile(`${file}.gz`, gzipSync(await readFile(file)));
    assert.equal(await docker("load", "-i", `${file}.gz`), "Loaded image: kept:1");
    await docker("rmi", "kept:1");
    await writeFile(`${file}.gz`, (await readFile(`${file}.gz`)).subarray(0, 5000));
    assert.match(await refused("load", "-i", `${file}.gz`), /^unexpected EOF$/);
    assert.equal(await docker("images", "-q", "kept"), "");
  });
});

describe("an image for several platforms", () => {
  it("is kept as its index; another platform's variant is run with a warning", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "multi") });
    const own = process.arch === "arm64" ? "arm64" : "amd64";
    const other = own === "arm64" ? "amd64" : "arm64";
    const variants = [own, other].map(async (architecture) => {
      const layer = await makeLayer([{ header: { name: "arch" }, content: architecture }]);
      return makeImage({ layers: [layer], architecture, config: { Cmd: ["/arch"] } });
    });
    const images = await Promise.all(variants);
    const base = `http://${registry.host}/v2/multi`;
    const put = async (url: string, type: string, body: Uint8Array): Promise<void> => {
      const answer = await fetch(url, {
        method: "PUT",
        headers: { "content-type": type },
        body: Buffer.from(body),
      });
      assert.ok(answer.ok, `${url}: ${await answer.text()}`);
    };
    const type = "application/vnd.oci.image.manifest.v1+json";
    for (const image of images) {
      for (const [digest, bytes] of image.blobs) {
        const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
        const place = new URL(begun.headers.get("location") ?? "", base);
        place.searchParams.set("digest", digest);
        await put(place.href, "application/octet-stream", bytes);
      }
      await put(`${base}/manifests/${image.manifestDigest}`, type, image.manifest);
    }
    const indexType = "application/vnd.oci.image.index.v1+json";
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: indexType,
        manifests: images.map((image, at) => ({
          mediaType: type,
          digest: image.manifestDigest,
          size: image.manifest.length,
          platform: { os: "linux", architecture: at === 0 ? own : other },
        })),
      }),
    );
    await put(`${base}/manifests/1`, indexType, index);
    const name = `${registry.host}/multi:1`;

    await docker("pull", name);
    assert.equal(await docker("inspect", "--format", "{{.Id}}", name), digestOf(index));
    assert.equal(await docker("inspect", "--format", "{{.Architecture}}", name), own);
    await docker("pull", "--platform", `linux/${other}`, name);
    const inspected = await ask(engine, {
      path: `/v1.52/images/${name}/json?platform=${encodeURIComponent(JSON.stringify({ os: "linux", architecture: other }))}`,
    });
    const manifest = images[1]?.manifestDigest;
    const { Architecture, Id, Descriptor } = JSON.parse(inspected.body) as {
      Architecture: string;
      Id: string;
      Descriptor: { digest: string; platform: unknown };
    };
    assert.deepEqual([Architecture, Id, Descriptor.digest], [other, manifest, manifest]);
    assert.deepEqual(Descriptor.platform, { architecture: other, os: "linux" });
    const create = await engine.tryDocker(["create", "--platform", `linux/${other}`, name]);
    assert.deepEqual([create.code, create.stderr], [0, ""]);
    await docker("rm", create.stdout.trim());
    await docker("rmi", name);

    await docker("pull", "--platform", `linux/${other}`, name);
    const warned = await engine.tryDocker(["create", "--pull", "never", name]);
    assert.match(
      warned.stderr,
      new RegExp(
        `^WARNING: The requested image's platform \\(linux/${other}[^)]*\\) does not match the detected host platform \\(linux/${own}[^)]*\\) and no specific platform was requested`,
      ),
    );
    await docker("rm", warned.stdout.trim());
    await docker("pull", "--platform", `linux/${own}`, name);
    for (const [wanted, at] of [
      [own, 0],
      [other, 1],
    ] as const) {
      const file = path.join(engine.root, `${wanted}.tar`);
      await docker("save", "--platform", `linux/${wanted}`, "-o", file, name);
      const members = (await mustRun(["tar", "-tf", file])).stdout.split("\n");
      const blobs = members.filter((member) => /^blobs\/sha256\/./.test(member));
      const expected = [digestOf(index), ...(images[at]?.blobs.keys() ?? [])];
      for (const digest of [images[at]?.manifestDigest ?? "", ...expected.slice(1)])
        assert.ok(blobs.includes(`blobs/sha256/${digest.slice("sha256:".length)}`), digest);
      const not = images[1 - at]?.manifestDigest.slice("sha256:".length) ?? "";
      assert.ok(!blobs.includes(`blobs/sha256/${not}`), `the other platform is in ${wanted}.tar`);
    }
    await docker("rmi", name);
    await docker("load", "-i", path.join(engine.root, `${other}.tar`));
    const loaded = await docker("inspect", "--format", "{{.Architecture}}", name);
    assert.equal(loaded, other);
    assert.match(
      await refused(
        "save",
        "--platform",
        "linux/riscv64",
        "-o",
        path.join(engine.root, "none.tar"),
        name,
      ),
      /does not provide the specified platform \(linux\/riscv64\)/,
    );
    assert.match(
      await refused("pull", "--platform", "linux/s390x", name),
      /no matching manifest for linux\/s390x in the manifest list entries/,
    );
    await docker("rmi", name);
  });
});

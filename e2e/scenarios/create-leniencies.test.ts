/** What a dockerd takes at create without a look, and what comes of it. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  await engine.docker(["rm", "-f", "-v", "loose"]);
});

interface Shown {
  readonly Config: { readonly Volumes: unknown; readonly ExposedPorts: unknown };
  readonly Mounts: readonly { readonly Destination: string }[];
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>;
  };
}

const call = (method: string, path: string, body?: object) =>
  ask(engine, { method, path, ...(body === undefined ? {} : { body }) });

async function started(config: object): Promise<Shown> {
  const body = { Image: "busybox", Cmd: ["sleep", "1000"], ...config };
  const made = await call("POST", "/v1.51/containers/create?name=loose", body);
  assert.equal(made.status, 201, made.body);
  const start = await call("POST", "/containers/loose/start");
  assert.equal(start.status, 204, start.body);
  return JSON.parse((await call("GET", "/v1.51/containers/loose/json")).body) as Shown;
}

describe("at create", () => {
  it("what is no port's number exposes port 0, a range too", async () => {
    const ExposedPorts = { "0/udp": {}, x: {}, "70-80/tcp": {}, "80/": {} };
    const shown = await started({ ExposedPorts, HostConfig: { PublishAllPorts: true } });
    assert.deepEqual(shown.Config.ExposedPorts, ExposedPorts);
    const { "80/tcp": published, ...others } = shown.NetworkSettings.Ports;
    assert.match(published?.[0]?.HostPort ?? "", /^\d+$/);
    assert.deepEqual(others, { "0/tcp": null, "0/udp": null });
  });

  it("a stop signal may be a number that no signal has: only SIGKILL ends such a container", async () => {
    await started({ StopSignal: "999" });
    await engine.docker(["stop", "-t", "0", "loose"]);
    const format = "{{.Config.StopSignal}} {{.State.ExitCode}}";
    assert.equal(await engine.docker(["inspect", "-f", format, "loose"]), "999 137");
  });

  it("several DNS options and search domains may be one text, and a domain longer than the kernel's", async () => {
    const Domainname = `${"x".repeat(70)}.example`;
    await started({
      ...{ Hostname: "h", Domainname },
      HostConfig: { DnsSearch: ["a.example b.example"], DnsOptions: ["ndots:2 timeout:1"] },
    });
    const files = ["/proc/sys/kernel/domainname", "/etc/hosts", "/etc/resolv.conf"];
    const [kernel, ...lines] = (await engine.docker(["exec", "loose", "cat", ...files])).split(
      "\n",
    );
    assert.equal(kernel, "x".repeat(64));
    assert.ok(lines.some((line) => line.endsWith(`\th.${Domainname} h`)));
    assert.ok(lines.includes("search a.example b.example"));
    assert.ok(lines.includes("options ndots:2 timeout:1"));
  });

  it("a relative volume lies below the root, and is shown as it was given", async () => {
    const shown = await started({ Volumes: { "./rel/": {} } });
    assert.deepEqual(shown.Config.Volumes, { "./rel/": {} });
    assert.deepEqual(
      shown.Mounts.map(({ Destination }) => Destination),
      ["rel"],
    );
    assert.match(await engine.docker(["exec", "loose", "cat", "/proc/mounts"]), / \/rel /);
  });
});

describe("an update", () => {
  it("of memory alone is refused above the limit of swap, which is 0 without one", async () => {
    const body = { Image: "busybox", Cmd: ["true"] };
    const made = await call("POST", "/v1.51/containers/create?name=loose", body);
    const { Id } = JSON.parse(made.body) as { Id: string };
    const update = async (limits: object): Promise<[number, string | undefined]> => {
      const answer = await call("POST", "/v1.51/containers/loose/update", limits);
      return [answer.status, (JSON.parse(answer.body) as { message?: string }).message];
    };
    const message = `Cannot update container ${Id}: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time`;
    assert.deepEqual(await update({ Memory: 300e6 }), [409, message]);
    assert.deepEqual(await update({ Memory: 300e6, MemorySwap: 600e6 }), [200, undefined]);
    assert.deepEqual(await update({ Memory: 500e6 }), [200, undefined]);
    assert.deepEqual(await update({ Memory: 700e6 }), [409, message]);
  });

  it("that nobody could have is refused before the container is looked for", async () => {
    const few = await call("POST", "/v1.51/containers/nobody/update", { Memory: 1000 });
    const wrong = { RestartPolicy: { Name: "sometimes" } };
    const policy = await call("POST", "/v1.51/containers/nobody/update", wrong);
    const none = await call("POST", "/v1.51/containers/nobody/update", { Memory: 300e6 });
    assert.deepEqual([few.status, policy.status, none.status], [400, 400, 404]);
    assert.match(few.body, /Minimum memory limit allowed is 6MB/);
  });
});

describe("an exec", () => {
  it("below a file is refused with dockerd's hint", async () => {
    await started({});
    const { code, stdout, stderr } = await engine.tryDocker(["exec", "loose", "/etc/passwd/x"]);
    const text = "Are you trying to mount a directory onto a file (or vice-versa)?";
    const begin = `OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory: ${text}`;
    assert.equal(code, 127);
    assert.ok(`${stdout}${stderr}`.startsWith(begin), stdout + stderr);
  });
});

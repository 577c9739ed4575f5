import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { llbGraph, llbOfDockerfile } from "./llb-definition.ts";
import type { LlbOptions } from "./llb-ops.ts";
import {
  type CopyOp,
  type Op,
  type RunMount,
  type RunOp,
  type Vertex,
  vertexOf,
} from "./vertex.ts";

const options: LlbOptions = {
  resolveMode: "local",
  extraHosts: ["h:1.2.3.4"],
  ulimits: [],
  cgroupParent: "",
  contextName: "context",
  followPaths: new Map([["", ["g", "f"]]]),
  exclude: [],
};
const platform = { os: "linux", architecture: "amd64" };
const made = (op: Op, inputs: readonly Vertex[] = [], line?: number): Vertex =>
  vertexOf(op, inputs, {
    name: "",
    lines: line === undefined ? undefined : { first: line, last: line },
  });
const base = vertexOf({ kind: "image", reference: "b", platform, chainId: "c" }, [], {
  ...{ name: "", resolved: "docker.io/library/b:latest@sha256:0", lines: { first: 1, last: 1 } },
});
const scratch = made({ kind: "scratch" });
const context = made({ kind: "files", source: "context:", checksum: "", keepGitDir: false });
const copy = (more: Partial<CopyOp> = {}): CopyOp => ({
  ...{ kind: "copy", sources: [{ input: 1, path: "f", unpack: false }], destination: "/" },
  ...{
    chown: undefined,
    chmod: undefined,
    keepOwner: false,
    parents: false,
    exclude: [],
    link: false,
  },
  ...more,
});
const run = (mounts: readonly RunMount[] = [], more: Partial<RunOp> = {}): RunOp => ({
  ...{ kind: "run", args: ["true"], env: ["A=b"], cwd: "/", user: "", network: "", hostname: "" },
  ...{ insecure: false, mounts, proxyEnv: [], volumes: [], ...more },
});
const opsOf = (root: Vertex): object[] =>
  llbGraph(root, options).llbDefinition.map((step) => (step as { op: { Op: object } }).op.Op);

describe("a graph in provenance", () => {
  it("is steps behind their inputs, with an end that names the result", () => {
    const root = made(run(), [made(copy(), [base, context], 2)], 3);
    const { llbDefinition, digestMapping, locations, chain } = llbGraph(root, options);
    const steps = llbDefinition as { id: string; inputs?: string[] }[];
    assert.deepEqual(
      steps.map(({ id, inputs = [] }) => [id, ...inputs]),
      [
        ["step0"],
        ["step1"],
        ["step2", "step0:0", "step1:0"],
        ["step3", "step2:0"],
        ["step4", "step3:0"],
      ],
    );
    assert.equal(digestMapping[root.digest], "step3");
    assert.equal(Object.keys(digestMapping).length, 5);
    assert.deepEqual(chain, ["step0", "step2", "step3"]);
    assert.deepEqual(locations["step1"], {});
    const line = { start: { line: 3 }, end: { line: 3 } };
    assert.deepEqual(locations["step3"], { locations: [{ ranges: [line] }] });
  });

  it("has sources by what BuildKit calls them", () => {
    const [image, local] = opsOf(made(copy(), [base, context]));
    const identifier = "docker-image://docker.io/library/b:latest@sha256:0";
    assert.deepEqual(image, { source: { identifier, attrs: { "image.resolvemode": "local" } } });
    const attrs = { "local.followpaths": '["f","g"]', "local.sharedkeyhint": "context" };
    assert.deepEqual(local, { source: { identifier: "local://context", attrs } });
  });

  it("has each source of a COPY as an action over the one before", () => {
    const sources = ["f", "g"].map((path) => ({ input: 1, path, unpack: false }));
    const root = made(copy({ sources, chown: "5:six", chmod: "0640" }), [base, context]);
    const { file } = opsOf(root)[2] as {
      file: { actions: { Action: { copy: object }; input: number; output: number }[] };
    };
    assert.deepEqual(
      file.actions.map(({ input, output }) => [input, output]),
      [
        [0, -1],
        [2, 0],
      ],
    );
    const { copy: shown } = file.actions[0]?.Action ?? {};
    assert.deepEqual(shown, {
      ...{ src: "/f", dest: "/", mode: 0o640, followSymlink: true, dirCopyContents: true },
      owner: { user: { User: { byId: 5 } }, group: { User: { byName: { name: "six" } } } },
      ...{ createDestPath: true, allowWildcard: true, allowEmptyWildcard: true, timestamp: -1 },
    });
  });

  it("has a COPY onto nothing, and one that is linked as something laid over", () => {
    const [, onto] = opsOf(made(copy(), [scratch, context]));
    const { actions } = (onto as { file: { actions: { input: number; secondaryInput: number }[] } })
      .file;
    assert.deepEqual([actions[0]?.input, actions[0]?.secondaryInput], [-1, 0]);
    const linked = llbGraph(made(copy({ link: true }), [base, context]), options).llbDefinition;
    const shown = linked.map((step) => Object.keys((step as { op: { Op: object } }).op.Op)[0]);
    assert.deepEqual(shown, ["source", "source", "file", "merge", undefined]);
    assert.deepEqual((linked[3] as { inputs: string[] }).inputs, ["step0:0", "step2:0"]);
  });

  it("has the mounts of RUN by their place, and what is borrowed last", () => {
    const access = { uid: 0, gid: 0, mode: 0o400, required: false };
    const root = made(
      run(
        [
          { type: "secret", id: "s", target: "/a", env: "", ...access },
          { type: "ssh", id: "default", target: "/run/buildkit/ssh_agent.0", ...access },
          { type: "tmpfs", target: "/t", sizeBytes: 0 },
          {
            ...{ type: "cache", id: "c", target: "/c", sharing: "locked", readOnly: false },
            ...{ uid: 0, gid: 0, mode: 0o755, input: undefined, source: "/" },
          },
          { type: "bind", input: 1, source: "/sub", target: "/b", writable: false },
        ],
        { network: "none" },
      ),
      [base, context],
    );
    const { exec } = opsOf(root)[2] as { exec: { meta: { env: string[] }; mounts: object[] } };
    assert.deepEqual(exec.mounts, [
      { dest: "/" },
      { dest: "/b", input: 1, output: -1, readonly: true, selector: "/sub" },
      { dest: "/c", input: -1, output: -1, mountType: 3, cacheOpt: { ID: "/c", sharing: 2 } },
      { dest: "/t", input: -1, output: -1, mountType: 4, TmpfsOpt: {} },
      { dest: "/a", input: -1, mountType: 1, secretOpt: { ID: "s", mode: 256, optional: true } },
      {
        ...{ dest: "/run/buildkit/ssh_agent.0", input: -1, mountType: 2 },
        SSHOpt: { mode: 256, optional: true },
      },
    ]);
    assert.deepEqual(exec.meta.env, ["A=b", "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"]);
  });

  it("tells where the Dockerfile came from", () => {
    const { llbDefinition } = llbOfDockerfile("Dockerfile", "dockerfile");
    const { attrs } = (llbDefinition[0] as { op: { Op: { source: { attrs: object } } } }).op.Op
      .source;
    assert.deepEqual(attrs, {
      "local.differ": "none",
      "local.followpaths": '["Dockerfile","Dockerfile.dockerignore","dockerfile"]',
      "local.sharedkeyhint": "dockerfile",
    });
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostPlatform, type Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { parseDockerfile } from "../domain/dockerfile/parse.ts";
import { findTarget, splitStages } from "../domain/frontend/stages.ts";
import type { RunConfig } from "../domain/image-config.ts";
import { reachable } from "../domain/solver/vertex.ts";
import type { BuildRequest } from "../ports/build.ts";
import { type BuildInputs, noAgents } from "../ports/build-inputs.ts";
import { contextNeeds } from "./context-needs.ts";
import { StagePlanner } from "./plan-stages.ts";
import type { PlannedStage } from "./planned-stage.ts";

const request: BuildRequest = {
  ...{ id: "test", target: "", buildArgs: new Map(), labels: new Map(), platforms: [] },
  ...{ noCache: false, noCacheStages: [], pull: false, networkMode: "default", entitlements: [] },
  ...{
    extraHosts: [],
    hostname: "",
    defaultHostname: "",
    cacheMountNamespace: "",
    sourceDateEpoch: undefined,
  },
  leave: "none",
  order: "parallel",
  limits: {
    ...{ memoryBytes: 0, memorySwapBytes: 0, cpuShares: 0, cpuPeriodUs: 0, cpuQuotaUs: 0 },
    ...{ cpusetCpus: "", cpusetMems: "", cgroupParent: "", shmSizeBytes: 0, ulimits: [] },
  },
};

const inputs: BuildInputs = {
  dockerfile: { name: "Dockerfile", bytes: new Uint8Array() },
  ignore: () => Promise.resolve(""),
  context: undefined,
  namedContexts: new Map(),
  secret: () => Promise.resolve(undefined),
  sshAgent: (id) => Promise.resolve(noAgents(id)),
  registryAuth: () => Promise.resolve(undefined),
};

/** Plans a Dockerfile; every image has the config given. Tells which images were asked for. */
async function plan(
  lines: readonly string[],
  options: {
    args?: Record<string, string>;
    target?: string;
    config?: RunConfig;
    platforms?: readonly Platform[];
    contexts?: BuildInputs["namedContexts"];
  } = {},
): Promise<{ planned: PlannedStage; asked: string[] }> {
  const file = splitStages(parseDockerfile(lines.join("\n")));
  const target = findTarget(file.stages, options.target ?? "");
  const asked: string[] = [];
  const planner = new StagePlanner({
    layout: () => Promise.reject(new Error("there is no layout")),
    request: {
      ...request,
      buildArgs: new Map(Object.entries(options.args ?? {})),
      platforms: options.platforms ?? [],
    },
    inputs: { ...inputs, namedContexts: options.contexts ?? new Map() },
    ...{ file, escape: "\\", target, style: "buildkit" },
    platform: options.platforms?.at(-1) ?? hostPlatform(),
    fullName: (reference) => `full/${reference}`,
    base(reference) {
      if (!asked.includes(reference)) asked.push(reference);
      const document = {
        ...{ architecture: "amd64", os: "linux", history: [] },
        config: options.config ?? { Env: ["PATH=/bin"] },
      };
      const { os, architecture } = hostPlatform();
      return Promise.resolve({
        ...{ id: "sha256:1", reference, chainId: `chain of ${reference}`, document, layers: [] },
        platform: { os, architecture },
      });
    },
  });
  await planner.prepare(target);
  return { planned: await planner.plan(target), asked };
}

const names = ({ state }: PlannedStage): string[] =>
  reachable([state.tree]).map(({ name }) => name);
const history = ({ state }: PlannedStage) => state.document.history.map((item) => item.created_by);

describe("a named context of a kind that is not known", () => {
  const contexts = new Map([["base", { kind: "unknown", scheme: "target" } as const]]);
  const message = "unsupported context source target for base";
  for (const [who, lines, line] of [
    ["FROM", ["FROM base"], 1],
    ["COPY", ["FROM x", "COPY --from=base /x /y"], 2],
    ["a stage of its name", ["FROM x AS base", "FROM base", "RUN b"], 2],
    ["RUN, which is not told", ["FROM x", "RUN --mount=from=base,target=/x b"], undefined],
  ] as const) {
    it(`is refused where it is wanted: by ${who}`, async () => {
      await assert.rejects(plan(lines, { contexts }), (error: unknown) => {
        assert.ok(error instanceof BuildFailure);
        assert.equal(error.message, message);
        assert.equal(error.lines?.first, line);
        return true;
      });
    });
  }

  it("may be there when nobody wants it", async () => {
    const { asked } = await plan(["FROM x", "RUN y"], { contexts });
    assert.deepEqual(asked, ["x"]);
  });
});

describe("stages", () => {
  it("that the target does not need are not even looked up", async () => {
    const { asked, planned } = await plan(
      ["FROM one AS a", "RUN a", "FROM two AS b", "RUN b", "FROM a", "RUN c"],
      {},
    );
    assert.deepEqual(asked, ["one"]);
    assert.deepEqual(names(planned), [
      "[a 1/2] FROM full/one@sha256:1",
      "[a 2/2] RUN a",
      "[stage-2 1/1] RUN c",
    ]);
  });
  it("tell platforms apart where there are several, and what is built for another", async () => {
    const [one, two] = [
      { os: "linux", architecture: "one" },
      { os: "linux", architecture: "two" },
    ];
    const { planned } = await plan(
      [
        ...["FROM --platform=linux/one image AS a", "RUN a", "ARG TARGETARCH", "RUN b"],
        ...["FROM image", "COPY --from=a /x /"],
      ],
      { platforms: [one, two] },
    );
    assert.deepEqual(names(planned), [
      "[linux/two stage-1 1/2] FROM full/image@sha256:1",
      "[linux/one a 1/3] FROM full/image@sha256:1",
      "[linux/one a 2/3] RUN a",
      "[linux/one->two a 3/3] RUN b",
      "[linux/two stage-1 2/2] COPY --from=a /x /",
    ]);
  });
  it("are named when a mount or --from takes from elsewhere; steps read as the Dockerfile does", async () => {
    const lines = [
      ...["FROM busybox", "ARG V=/q", "copy   --chmod=644   a   $V/x", 'COPY ["a", "/b c"]'],
      ...["RUN   --mount=type=cache,target=/c   echo   $V", "WORKDIR  $V/z"],
    ];
    const { planned } = await plan(lines, {});
    assert.deepEqual(
      names(planned)
        .filter((name) => name.startsWith("[stage-0 "))
        .slice(1),
      [
        "[stage-0 2/5] COPY   --chmod=644   a   /q/x",
        "[stage-0 3/5] COPY [a, /b c]",
        "[stage-0 4/5] RUN   --mount=type=cache,target=/c   echo   /q",
        "[stage-0 5/5] WORKDIR  /q/z",
      ],
    );
  });

  it("can't be copied from before they come, nor in a circle", async () => {
    await assert.rejects(
      plan(["FROM one AS a", "COPY --from=b /x /", "FROM two AS b"], { target: "a" }),
      /cannot copy from stage "b", it needs to be defined before current stage "a"/,
    );
    await assert.rejects(
      plan(["FROM one AS a", "RUN --mount=from=b,target=/m x", "FROM two AS b"], { target: "a" }),
      /cannot mount from stage "b" to "\/m", stage needs to be defined before current command/,
    );
    await assert.rejects(
      plan(["FROM one AS a", "COPY --from=b /x /", "FROM two AS b", "COPY --from=a /x /"]),
      (error: unknown) => {
        assert.ok(error instanceof BuildFailure);
        assert.equal(error.message, "circular dependency detected on stage: a");
        assert.deepEqual(
          [...error.before, error.lines].map((lines) => lines?.first),
          [4, 2],
        );
        return true;
      },
    );
    await assert.rejects(
      plan(["FROM one AS a", "COPY --from=a /x /"]),
      /circular dependency detected on stage: a/,
    );
  });
  it("have other stages, images and numbers after --from", async () => {
    const { asked } = await plan([
      ...["FROM one", "FROM two", "COPY --from=0 /a /", "COPY --from=three /b /"],
      "RUN --mount=from=four,target=/m true",
    ]);
    assert.deepEqual(asked.sort(), ["four", "one", "three", "two"]);
    await assert.rejects(plan(["FROM one", "COPY --from=7 /a /"]), /invalid stage index 7/);
    // Mounts don't count stages.
    const mounted = await plan(["FROM one", "RUN --mount=from=7,target=/m true"]);
    assert.deepEqual(mounted.asked, ["one", "7"]);
    await assert.rejects(
      plan(["FROM one", "COPY --from=$X /a /"]),
      /variable expansion is not supported for --from/,
    );
  });
});

describe("arguments", () => {
  it("before the first FROM count there, and in stages that declare them", async () => {
    const lines = ["ARG TAG=1", "FROM base:$TAG", "RUN echo $TAG", "ARG TAG", "RUN echo $TAG"];
    const { asked, planned } = await plan(lines, { args: { TAG: "2" } });
    assert.deepEqual(asked, ["base:2"]);
    assert.deepEqual(history(planned), [
      "RUN /bin/sh -c echo $TAG # buildkit",
      "ARG TAG=2",
      "RUN |1 TAG=2 /bin/sh -c echo $TAG # buildkit",
    ]);
  });
  it("are hidden by variables, and are in the environment of RUN but not in the config", async () => {
    const { planned } = await plan(["FROM one", "ARG A=arg B=only", "ENV A=env", "RUN true"]);
    const { op } = planned.state.tree;
    assert.ok(op.kind === "run");
    assert.deepEqual(op.env, ["PATH=/bin", "A=env", "B=only"]);
    assert.deepEqual(planned.state.document.config.Env, ["PATH=/bin", "A=env"]);
  });
  it("hide variables that were set before them", async () => {
    const lines = [
      "FROM one",
      "ENV A=env B=env",
      "ARG A=arg B",
      "RUN echo $A",
      "ENV C=$A$B A=last",
    ];
    const { planned } = await plan([...lines, "RUN echo $A"]);
    const { op } = planned.state.tree;
    assert.ok(op.kind === "run");
    assert.deepEqual(op.env, ["PATH=/bin", "A=last", "B=env", "C=argenv"]);
    assert.ok(history(planned).includes("RUN |2 A=arg B=env /bin/sh -c echo $A # buildkit"));
  });
  it("of proxies need no declaration, and are in no key", async () => {
    const lines = ["FROM one", "RUN true"];
    const [plain, proxied] = [await plan(lines), await plan(lines, { args: { HTTP_PROXY: "p" } })];
    const { op } = proxied.planned.state.tree;
    assert.ok(op.kind === "run");
    assert.deepEqual(op.proxyEnv, ["http_proxy=p", "HTTP_PROXY=p"]);
    assert.deepEqual(history(plain.planned), history(proxied.planned));
  });
});

describe("a base without PATH", () => {
  it("gets the default one, behind what it has", async () => {
    const { planned } = await plan(["FROM one", "ENV PATH=/x:$PATH"], { config: { Env: ["A=b"] } });
    const wanted = "PATH=/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert.deepEqual(planned.state.document.config.Env, ["A=b", wanted]);
  });
});

describe("triggers of the base", () => {
  it("come first, and are not handed on", async () => {
    const config = { OnBuild: ["COPY x /x", "RUN trigger"] };
    const { planned } = await plan(["FROM one", "RUN own"], { config });
    assert.deepEqual(history(planned), [
      "COPY x /x # buildkit",
      "RUN /bin/sh -c trigger # buildkit",
      "RUN /bin/sh -c own # buildkit",
    ]);
    assert.equal(planned.state.document.config.OnBuild, null);
  });
  it("are shown as such, and each counts as a step", async () => {
    const config = { OnBuild: ["COPY x /x", "ENV A=b", "RUN <<EOF\necho $A\nEOF"] };
    const { planned } = await plan(["FROM one", "RUN own"], { config });
    assert.deepEqual(
      names(planned).filter((name) => !name.includes("internal")),
      [
        "[1/2] FROM full/one@sha256:1",
        "[2/5] ONBUILD COPY x /x",
        "[3/5] ONBUILD RUN <<EOF (echo b)",
        "[4/5] RUN own",
      ],
    );
  });
  it("that are wrong are told of as they are", async () => {
    await assert.rejects(plan(["FROM one"], { config: { OnBuild: ["NOPE"] } }), {
      message: "unknown instruction: NOPE (did you mean COPY?)",
    });
  });
});

describe("what is wanted of the context", () => {
  it("is what is copied or bound, or all of it", async () => {
    const some = await plan(["FROM one", "COPY a b/ /x/", "RUN --mount=source=c,target=/c true"]);
    const needs = contextNeeds([some.planned.state.tree], ["*.log"]);
    assert.deepEqual(needs.get(""), { include: ["a", "b", "c"], exclude: ["*.log"] });
    const all = await plan(["FROM one", "COPY a /", "COPY . /"]);
    assert.deepEqual(contextNeeds([all.planned.state.tree], []).get("")?.include, []);
  });
});

describe("refusals", () => {
  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["an instruction before FROM", ["RUN x", "FROM a"], /no build stage in current context/],
    ["an empty base", ["FROM $NOPE"], /base name \(\$NOPE\) should not be blank/],
    ["a URL in COPY", ["FROM a", "COPY https://x/y /"], /source can't be a URL for COPY/],
    [
      "a mount without target",
      ["FROM a", "RUN --mount=type=cache true"],
      /invalid mount target "\/"/,
    ],
    ["a bad mode", ["FROM a", "COPY --chmod=9 a /"], /invalid chmod parameter/],
    ["a bad port", ["FROM a", "EXPOSE x"], /invalid containerPort: x/],
    ["a bad signal", ["FROM a", "STOPSIGNAL -"], /invalid signal/],
    ["a device", ["FROM a", "RUN --device=x y"], /device feature is only supported in/],
    ["a mode that is none", ["FROM a", "COPY --chmod=abc a /"], /^BuildFailure: invalid syntax$/],
    ["a bare secret", ["FROM a", "RUN --mount=type=secret x"], /invalid secret mount\. one of/],
    [
      "a secret of two names",
      ["FROM a", "RUN --mount=type=secret,id=a,src=b x"],
      /both source and/,
    ],
    [
      "a mode of a bind",
      ["FROM a", "RUN --mount=target=/x,mode=1 y"],
      /mode not allowed for "bind"/,
    ],
    [
      "shared memory",
      ["FROM a", "RUN --mount=type=tmpfs,target=/x,sharing=shared y"],
      /invalid cache/,
    ],
    [
      "what is required too soon",
      ["FROM a", "RUN --mount=required,type=ssh y"],
      /for mount type 'bind'/,
    ],
    ["an unknown key of a mount", ["FROM a", "RUN --mount=targte=/x x"], /did you mean target\?/],
  ];
  for (const [name, lines, text] of refused) {
    it(`name ${name}`, async () => {
      await assert.rejects(async () => plan(lines), text);
    });
  }
});

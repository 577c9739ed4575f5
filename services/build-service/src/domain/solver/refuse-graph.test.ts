import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { refuseGraph } from "./refuse-graph.ts";
import { type RunOp, vertexOf } from "./vertex.ts";

const run = (change: Partial<RunOp>) =>
  vertexOf(
    {
      ...{ kind: "run", args: ["x"], env: [], cwd: "/", user: "", network: "", hostname: "" },
      ...{ insecure: false, mounts: [], proxyEnv: [], volumes: [], ...change },
    },
    [],
    { name: "RUN" },
  );

describe("a graph", () => {
  const refused: readonly (readonly [Partial<RunOp>, string])[] = [
    [{ args: [] }, "failed to marshal LLB definition: arguments are required"],
    [{ network: "host" }, "failed to load LLB: network.host is not allowed"],
    [{ insecure: true }, "failed to load LLB: security.insecure is not allowed"],
  ];
  for (const [change, message] of refused) {
    it(`is refused as a whole: ${message}`, () => {
      assert.throws(() => refuseGraph([run({}), run(change)], []), { message, lines: undefined });
    });
  }
  it("may hold what is granted", () => {
    refuseGraph([run({ network: "host", insecure: true })], ["network.host", "security.insecure"]);
  });
});

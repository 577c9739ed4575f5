import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { notFound } from "@gantry/errors";
import { collect, start, texts } from "./echo-fixture.ts";
import type { Text } from "./echo-service.ts";
import { toStatus } from "./wire-error.ts";

/** The client that takes least: gRPC's C core (Python, C++, Ruby) drops a call with more metadata. */
const leastThatPeersTake = 16 * 1024;

const names: readonly (readonly [string, string])[] = [
  ["a name of a megabyte", "x".repeat(1_000_000)],
  ["a name that is escaped throughout", "%".repeat(1_000_000)],
  ["characters of two halves", "😀".repeat(500_000)],
  ["characters of two halves, an odd one before", `x${"😀".repeat(500_000)}`],
  ["half a character", "\ud83d"],
];

for (const ttrpc of [false, true]) {
  describe(`errors about what a caller made up, over ${ttrpc ? "ttrpc" : "gRPC"}`, () => {
    for (const [what, name] of names) {
      it(`reach the caller and no other call: ${what}`, async (t) => {
        const { echo } = await start(
          t,
          {
            unary: () => Promise.reject(notFound("container", name)),
            // biome-ignore lint/correctness/useYield: an answer that is refused has none
            async *repeat() {
              await Promise.reject(notFound("container", name));
            },
            async *chat(requests) {
              for await (const { value } of requests) yield { value };
            },
          },
          { ttrpc },
        );
        const refused = Promise.withResolvers<undefined>();
        const other = echo.chat(aroundIt(refused.promise))[Symbol.asyncIterator]();
        assert.deepEqual(await next(other), "before");

        await assert.rejects(echo.unary({ value: "" }), { kind: "not_found" });
        await assert.rejects(collect(echo.repeat({ value: "" })), { kind: "not_found" });

        refused.resolve(undefined);
        assert.deepEqual(await next(other), "after");
        assert.deepEqual(await collect(echo.chat(texts("later"))), ["later"]);
      });
    }
  });
}

/** Requests of a call that is open while others are refused. */
async function* aroundIt(refused: Promise<undefined>): AsyncGenerator<Text> {
  yield { value: "before" };
  await refused;
  yield { value: "after" };
}

async function next(answers: AsyncIterator<Text>): Promise<string> {
  const step = await answers.next();
  return step.done === true ? "no answer" : step.value.value;
}

describe("toStatus", () => {
  for (const [what, name] of names) {
    it(`stays within what every peer takes: ${what}`, () => {
      const { details, metadata } = toStatus(notFound("container", name));
      assert.ok(encodeURI(details).length + sizeOf(metadata.toHttp2Headers()) < leastThatPeersTake);
    });
  }

  it("leaves a message as it is that fits", () => {
    const message = `No such container: ${"x".repeat(8000)}`;
    assert.equal(toStatus(notFound("container", "x".repeat(8000))).details, message);
  });
});

function sizeOf(headers: Readonly<Record<string, unknown>>): number {
  // HTTP/2 counts 32 bytes for each header besides its own.
  const sizes = Object.entries(headers).map(
    ([name, value]) => name.length + String(value).length + 32,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

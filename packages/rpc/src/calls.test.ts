import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { conflict, EngineError, kindNames, notModified } from "@gantry/errors";
import { collect, start, texts, untilAborted } from "./echo-fixture.ts";

for (const [name, options] of [
  ["gRPC", { ttrpc: false }],
  ["ttrpc", { ttrpc: true }],
] as const) {
  describe(`calls over ${name}`, () => {
    it("carry requests and answers of all four kinds", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: (request) => Promise.resolve({ value: `${request.value}!` }),
          repeat: ({ value }) => texts(value, value),
          join: async (requests) => ({
            value: (await collect(requests)).join("+"),
          }),
          async *chat(requests) {
            for await (const { value } of requests) yield { value: value.toUpperCase() };
          },
        },
        options,
      );
      assert.equal((await echo.unary({ value: "a" })).value, "a!");
      assert.deepEqual(await collect(echo.repeat({ value: "b" })), ["b", "b"]);
      assert.equal((await echo.join(texts("x", "y"))).value, "x+y");
      assert.deepEqual(await collect(echo.chat(texts("p", "q"))), ["P", "Q"]);
    });

    it("answer not_implemented where there is no handler", async (t) => {
      const { echo } = await start(t, {}, options);
      await assert.rejects(echo.unary({ value: "" }), {
        kind: "not_implemented",
      });
      await assert.rejects(collect(echo.repeat({ value: "" })), {
        kind: "not_implemented",
      });
    });

    it("keep kind, message and details of every error across the wire", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: ({ value }) => {
            const kind = kindNames().find((each) => each === value) ?? "internal";
            const details = {
              resourceType: "container",
              resourceId: "c1",
              exitCode: 127,
            };
            throw new EngineError(kind, `it is ${value} — ünïcode`, { details });
          },
        },
        options,
      );
      for (const kind of kindNames()) {
        await assert.rejects(echo.unary({ value: kind }), {
          kind,
          message: `it is ${kind} — ünïcode`,
          details: { resourceType: "container", resourceId: "c1", exitCode: 127 },
        });
      }
    });

    it("tell not_modified from conflict, which share a code", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: ({ value }) => Promise.reject(value === "a" ? notModified("x") : conflict("x")),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "a" }), { kind: "not_modified" });
      await assert.rejects(echo.unary({ value: "b" }), { kind: "conflict" });
    });

    it("call a foreign error internal and do not send its cause", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: () => Promise.reject(new Error("outer", { cause: new Error("secret") })),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "" }), (error: EngineError) => {
        assert.equal(error.kind, "internal");
        assert.equal(error.message, "outer");
        return true;
      });
    });

    it("pass on an error in the middle of a stream, after what came before", async (t) => {
      const { echo } = await start(
        t,
        {
          async *repeat() {
            yield* texts("one");
            throw conflict("then broken");
          },
        },
        options,
      );
      const seen: string[] = [];
      await assert.rejects(
        async () => {
          for await (const { value } of echo.repeat({ value: "" })) seen.push(value);
        },
        { kind: "conflict" },
      );
      assert.deepEqual(seen, ["one"]);
    });

    it("refuse a message over the limit", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: (request) => Promise.resolve(request),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "x".repeat(17 * 1024 * 1024) }), {
        kind: "resource_exhausted",
      });
    });
  });

  describe(`cancellation over ${name}`, () => {
    it("aborts the handler's signal when the caller's signal aborts", async (t) => {
      const started = Promise.withResolvers<undefined>();
      const stopped = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async unary(request, { signal }) {
            started.resolve(undefined);
            await untilAborted(signal);
            stopped.resolve(undefined);
            return request;
          },
        },
        options,
      );
      const controller = new AbortController();
      const call = echo.unary({ value: "" }, { signal: controller.signal });
      await started.promise;
      controller.abort();
      await assert.rejects(call, { kind: "canceled" });
      await stopped.promise;
    });

    it("does not start a call whose signal is aborted already", async (t) => {
      const { echo } = await start(t, { unary: () => assert.fail("was called") }, options);
      const signal = AbortSignal.abort();
      await assert.rejects(echo.unary({ value: "" }, { signal }), {
        kind: "canceled",
      });
      await assert.rejects(collect(echo.repeat({ value: "" }, { signal })), {
        kind: "canceled",
      });
    });

    it("fails with deadline_exceeded when time runs out, and tells the handler", async (t) => {
      const stopped = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async unary(request, { signal }) {
            await untilAborted(signal);
            stopped.resolve(undefined);
            return request;
          },
        },
        options,
      );
      // Intentionally short.
      await assert.rejects(echo.unary({ value: "" }, { timeoutMs: 30 }), {
        kind: "deadline_exceeded",
      });
      await stopped.promise;
    });

    it("ends the handler's generator when the caller leaves the loop", async (t) => {
      const ended = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async *repeat() {
            try {
              for (;;) yield* texts("x");
            } finally {
              ended.resolve(undefined);
            }
          },
        },
        options,
      );
      for await (const { value } of echo.repeat({ value: "" })) {
        assert.equal(value, "x");
        break;
      }
      await ended.promise;
    });

    it("lets go of a generator that never yields", async (t) => {
      const { echo } = await start(
        t,
        {
          // biome-ignore lint: waits for ever on purpose
          async *repeat(_, { signal }) {
            await untilAborted(signal);
          },
        },
        options,
      );
      const controller = new AbortController();
      const reading = collect(echo.repeat({ value: "" }, { signal: controller.signal }));
      controller.abort();
      await assert.rejects(reading, { kind: "canceled" });
    });
  });
}

describe("back-pressure", () => {
  it("stops a producer that nobody reads", async (t) => {
    let produced = 0;
    const chunk = "x".repeat(64 * 1024);
    const { echo } = await start(t, {
      async *repeat() {
        for (; produced < 5000; produced++) yield* texts(chunk);
      },
    });
    const iterator = echo.repeat({ value: "" })[Symbol.asyncIterator]();
    await iterator.next();
    // The producer has gone as far as the windows let it once other calls are answered in between.
    for (let i = 0; i < 200; i++) await echo.unary({ value: "" }).catch(() => undefined);
    assert.ok(produced < 1000, `produced ${String(produced)} chunks of 64 KiB without a reader`);
    await iterator.return?.();
  });
});

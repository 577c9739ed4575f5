import assert from "node:assert/strict";
import { it } from "node:test";
import type { ApiCall } from "../api-call.ts";
import { BuildUploads } from "./build-uploads.ts";

/** A request, of which nothing is asked. */
const call = (): ApiCall => ({}) as ApiCall;

it("tells every request that nobody wanted, also where two came with one ID", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const uploads = new BuildUploads();
  const offers = [uploads.offer("a", call()), uploads.offer("a", call())];
  const ends = Promise.all(
    offers.map((offer) => assert.rejects(offer, { message: "context deadline exceeded" })),
  );
  t.mock.timers.tick(5000);
  await ends;
});

it("gives the first of two requests with one ID to the first build, the second to the next", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const uploads = new BuildUploads();
  const [first, second] = [call(), call()];
  const offers = [uploads.offer("a", first), uploads.offer("a", second)];
  const { signal } = new AbortController();
  for (const expected of [first, second]) {
    const offered = await uploads.take("a", signal);
    assert.equal(offered.call, expected);
    offered.taken();
  }
  await Promise.all(offers);
});

it("lets two builds with one ID wait, and gives each of them a request", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const uploads = new BuildUploads();
  const { signal } = new AbortController();
  const builds = [uploads.take("a", signal), uploads.take("a", signal)];
  const [first, second] = [call(), call()];
  const offers = [uploads.offer("a", first), uploads.offer("a", second)];
  const offered = await Promise.all(builds);
  assert.deepEqual(new Set(offered.map((each) => each.call)), new Set([first, second]));
  for (const each of offered) each.taken();
  await Promise.all(offers);
});

/** Requests to an engine whose services are being killed: asked again until there is an answer. */
import { setTimeout as pause } from "node:timers/promises";
import type { TestEngine } from "@gantry/testkit/test-engine";
import { type Answer, ask, type Question } from "./http.ts";

/** Longest time that a service may be away; a loaded machine starts Node slowly. */
const patienceMs = 180_000;
const retryMs = 100;

/** An answer that is neither a lost connection nor a service that is away. */
export async function insist(engine: TestEngine, question: Question): Promise<Answer> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const answer = await attempt(engine, question);
    if (answer !== undefined) return answer;
    if (performance.now() > until) throw new Error(`no answer for ${question.path}`);
    await pause(retryMs);
  }
}

/** Undefined when the connection or the service behind it was lost: what was asked may be done or not. */
async function attempt(engine: TestEngine, question: Question): Promise<Answer | undefined> {
  try {
    const answer = await ask(engine, question);
    return isAway(answer) ? undefined : answer;
  } catch (error) {
    if (error instanceof Error && "code" in error && lost.has(String(error.code))) return undefined;
    throw error;
  }
}

const lost: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE"]);

function isAway({ status, body }: Answer): boolean {
  return status === 503 || (status >= 499 && /unavailable|canceled|cancelled/i.test(body));
}

/** What inspect tells of a container; undefined when there is none. */
export interface Inspected {
  readonly Id: string;
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Pid: number;
    readonly StartedAt: string;
    readonly Error: string;
  };
}

export async function inspect(engine: TestEngine, id: string): Promise<Inspected | undefined> {
  const answer = await insist(engine, { path: `/containers/${id}/json` });
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw new Error(`inspect ${id}: ${answer.body}`);
  return JSON.parse(answer.body) as Inspected;
}

const neverStarted = "0001-01-01T00:00:00Z";

/** Creates a container by its name, exactly once, whatever happens to the answer. */
export async function createSurely(
  engine: TestEngine,
  name: string,
  body: object,
): Promise<string> {
  for (;;) {
    const answer = await attempt(engine, {
      method: "POST",
      path: `/containers/create?name=${name}`,
      body,
    });
    if (answer?.status === 201) return (JSON.parse(answer.body) as { Id: string }).Id;
    if (answer !== undefined && answer.status !== 409) {
      throw new Error(`create ${name}: ${String(answer.status)} ${answer.body}`);
    }
    const found = await inspect(engine, name);
    if (found !== undefined) return found.Id;
    await pause(retryMs);
  }
}

/**
 * Starts a container, whatever happens to the answers. Returns how many starts the engine may have
 * carried out: one whose answer was lost may still come after it was asked for again.
 */
export async function startSurely(engine: TestEngine, id: string): Promise<number> {
  for (let asked = 1; ; asked++) {
    const answer = await attempt(engine, { method: "POST", path: `/containers/${id}/start` });
    if (answer?.status === 204 || answer?.status === 304) return asked;
    const found = await inspect(engine, id);
    if (found === undefined) throw new Error(`${id} is gone`);
    const { Status, StartedAt } = found.State;
    if (StartedAt !== neverStarted || (Status !== "created" && Status !== "exited")) return asked;
    // Only an engine that ended in the middle of a start may have failed it.
    if (answer !== undefined)
      throw new Error(`start ${id}: ${String(answer.status)} ${answer.body}`);
    await pause(retryMs);
  }
}

/** Waits until a container has ended for good. */
export async function untilEnded(engine: TestEngine, id: string): Promise<Inspected> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const found = await inspect(engine, id);
    if (found === undefined) throw new Error(`${id} is gone`);
    if (found.State.Status === "exited" && found.State.Pid === 0) return found;
    if (performance.now() > until) {
      throw new Error(`${id} does not end: ${JSON.stringify(found.State)}`);
    }
    await pause(retryMs);
  }
}

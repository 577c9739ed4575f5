/**
 * Waiting for a container, through restarts of container-service: a client that runs a container in the
 * foreground keeps its streams when that service is killed, and must get its exit code, too.
 *
 * When the wait breaks, the container's events since it began tell what was missed; what has not
 * happened yet is waited for again.
 */
import { EngineError, hasKind } from "@gantry/errors";
import type { WaitContainerResponse } from "@gantry/proto/container";
import type { Backends, EventSource } from "../backends.ts";
import { isBroken } from "./broken-call.ts";

/** What to wait for. */
export interface WaitFor {
  /** ID, name or prefix. */
  readonly container: string;
  /** Docker's word; empty: not-running. */
  readonly condition: string;
}

/** How it ended. */
export interface WaitResult {
  readonly exitCode: number;
  /** Text when waiting failed, else empty. */
  readonly error: string;
}

/** A wait that is registered. */
export interface OpenWait {
  /** Throws when the client has gone. */
  result(): Promise<WaitResult>;
}

/** How long the service is waited for at a time. */
const retryMs = 1000;

/** Registers a wait. Errors are those of the first call: not_found, invalid_argument, unavailable. */
export async function openWait(
  backends: Backends,
  waitFor: WaitFor,
  signal: AbortSignal,
): Promise<OpenWait> {
  const wait = new ContainerWait(backends, waitFor, signal);
  await wait.register();
  return wait;
}

class ContainerWait implements OpenWait {
  readonly #backends: Backends;
  readonly #waitFor: WaitFor;
  readonly #signal: AbortSignal;
  readonly #sinceNano = BigInt(Date.now()) * 1_000_000n;
  #steps: AsyncIterator<WaitContainerResponse> | undefined;
  #first: WaitContainerResponse | undefined;
  /** Full ID, once known: names may be given to others. */
  #id: Promise<string> | undefined;

  constructor(backends: Backends, waitFor: WaitFor, signal: AbortSignal) {
    this.#backends = backends;
    this.#waitFor = waitFor;
    this.#signal = signal;
  }

  async register(): Promise<void> {
    const { condition } = this.#waitFor;
    const container = this.#id === undefined ? this.#waitFor.container : await this.#id;
    const stream = this.#backends.containers.waitContainer(
      { container, condition },
      { signal: this.#signal },
    );
    this.#steps = stream[Symbol.asyncIterator]();
    const first = await this.#steps.next();
    if (first.done === true) throw unfinished();
    this.#first = first.value;
  }

  async result(): Promise<WaitResult> {
    // Not needed unless something breaks, when it may be too late to ask.
    this.#id ??= this.#lookUpId();
    this.#id.catch(() => undefined);
    for (;;) {
      try {
        return await this.#next();
      } catch (error) {
        if (this.#signal.aborted || !isBroken(error)) throw error;
      }
      const missed = await this.#resume();
      if (missed !== undefined) return missed;
    }
  }

  async #next(): Promise<WaitResult> {
    if (this.#first?.done === true) return this.#first;
    for (;;) {
      const step = await this.#steps?.next();
      if (step === undefined || step.done === true) throw unfinished();
      if (!step.value.done) continue;
      // Read to its end, which comes right behind: cancelling costs an error on both sides.
      this.#steps?.next().catch(() => undefined);
      return step.value;
    }
  }

  async #lookUpId(): Promise<string> {
    const { container } = await this.#backends.containers.inspectContainer({
      container: this.#waitFor.container,
    });
    return container?.id ?? this.#waitFor.container;
  }

  /** Waits for the service; what happened meanwhile, or undefined when the wait is registered again. */
  async #resume(): Promise<WaitResult | undefined> {
    const source = this.#backends.eventSources.find(({ name }) => name === "container-service");
    if (source === undefined) throw unfinished();
    while (!this.#signal.aborted) {
      try {
        await source.ready(retryMs);
        return await this.#catchUp(source);
      } catch (error) {
        if (this.#signal.aborted || !isBroken(error)) throw error;
      }
    }
    throw new EngineError("canceled", "the client has gone");
  }

  async #catchUp(source: EventSource): Promise<WaitResult | undefined> {
    const id = await this.#id;
    try {
      // First the wait, then the log: what happens between the two is seen twice rather than never.
      await this.register();
    } catch (error) {
      if (!hasKind(error, "not_found")) throw error;
      return (await this.#past(source, id)).exited ?? { exitCode: 0, error: "" };
    }
    const { exited, removed } = await this.#past(source, id);
    const needsRemoval = this.#waitFor.condition === "removed";
    return exited !== undefined && (!needsRemoval || removed) ? exited : undefined;
  }

  /** What the log says of the container since the wait began. */
  async #past(
    source: EventSource,
    id: string | undefined,
  ): Promise<{ exited: WaitResult | undefined; removed: boolean }> {
    const untilNano = BigInt(Date.now()) * 1_000_000n;
    const steps = source.client.subscribe(
      { sinceNano: this.#sinceNano, untilNano },
      { signal: this.#signal },
    );
    let exited: WaitResult | undefined;
    let removed = false;
    for await (const { event } of steps) {
      if (event?.type !== "container" || event.actorId !== id) continue;
      if (event.action === "die") {
        exited = { exitCode: Number(event.attributes["exitCode"] ?? 0), error: "" };
      }
      removed ||= event.action === "destroy";
    }
    return { exited, removed };
  }
}

function unfinished(): EngineError {
  return new EngineError("unavailable", "the wait ended without a result");
}

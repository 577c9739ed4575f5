import { EventEmitter, on } from "node:events";
import { notFound } from "@gantry/errors";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import { type Implementation, implement } from "./implement.ts";

/** grpc.health.v1 over one flag for the whole server. */
export interface HealthState {
  readonly implementation: Implementation;
  setServing(serving: boolean): void;
}

/** Health of a server that has these services (full names). */
export function openHealth(serviceNames: readonly string[]): HealthState {
  const known = new Set(["", Health.typeName, ...serviceNames]);
  const changes = new EventEmitter();
  changes.setMaxListeners(0);
  let current = Status.NOT_SERVING;
  const implementation = implement(Health, {
    check: ({ service }) => {
      if (!known.has(service)) throw notFound("service", service, `unknown service ${service}`);
      return Promise.resolve({ status: current });
    },
    async *watch({ service }, { signal }) {
      if (!known.has(service)) {
        yield { status: Status.SERVICE_UNKNOWN };
        await aborted(signal);
        return;
      }
      // Listen first: a change between the answer and the wait must not be lost.
      const later = on(changes, "change", { signal });
      yield { status: current };
      for await (const [status] of later) yield { status: status as Status };
    },
  });
  return {
    implementation,
    setServing(serving) {
      const next = serving ? Status.SERVING : Status.NOT_SERVING;
      if (next === current) return;
      current = next;
      changes.emit("change", next);
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        "abort",
        () => {
          resolve();
        },
        { once: true },
      );
  });
}

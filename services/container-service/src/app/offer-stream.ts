/** A stream that somebody is to connect to, with an end that the offerer can wait for. */
import type { Socket } from "node:net";
import { canceled, deadlineExceeded } from "@gantry/errors";
import type { DataListener } from "@gantry/rpc";
import type { StreamEndpoint } from "./attach-container.ts";

/** A ticket that nobody uses within this time is void. */
const ticketTtlMs = 30_000;

/** The offer. */
export interface OfferedStream {
  readonly endpoint: StreamEndpoint;
  /** Resolves when the work is done; rejects with its error, or when nobody came. */
  readonly done: Promise<void>;
}

/**
 * Offers a connection to `work`.
 * @param signal of the caller: the offer and the work end with it.
 */
export function offerStream(
  data: DataListener,
  signal: AbortSignal,
  work: (socket: Socket, signal: AbortSignal) => Promise<void>,
): OfferedStream {
  const done = Promise.withResolvers<undefined>();
  // Whoever offers may be gone before the end: that is no unhandled rejection.
  done.promise.catch(() => undefined);
  let taken = false;
  const endpoint = data.issue(
    async (socket, closed) => {
      taken = true;
      clearTimeout(timer);
      try {
        await work(socket, AbortSignal.any([signal, closed]));
        done.resolve(undefined);
      } catch (error) {
        done.reject(error);
        throw error;
      }
    },
    { ttlMs: ticketTtlMs },
  );
  const timer = setTimeout(() => {
    done.reject(deadlineExceeded("nobody connected to the stream"));
  }, ticketTtlMs);
  const abort = (): void => {
    clearTimeout(timer);
    if (taken) return;
    data.revoke(endpoint.ticket);
    done.reject(canceled("the call was canceled"));
  };
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return { endpoint, done: done.promise };
}

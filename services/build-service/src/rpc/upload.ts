/** An archive that the caller is to write to a connection of the data plane. */
import type { Socket } from "node:net";
import { canceled, deadlineExceeded } from "@gantry/errors";
import type { DataListener } from "@gantry/rpc";

/** A caller that does not come within this time has gone. */
const ticketTtlMs = 30_000;

/** The offer, and what is written to it. */
export interface Upload {
  readonly endpoint: { readonly path: string; readonly ticket: Uint8Array };
  readonly body: AsyncIterable<Uint8Array>;
}

export function offerUpload(data: DataListener, signal: AbortSignal): Upload {
  const arrived = Promise.withResolvers<Socket>();
  arrived.promise.catch(() => undefined);
  const read = Promise.withResolvers<undefined>();
  const endpoint = data.issue(
    async (socket) => {
      arrived.resolve(socket);
      await read.promise;
    },
    { ttlMs: ticketTtlMs },
  );
  const timer = setTimeout(() => {
    arrived.reject(deadlineExceeded("nobody sent a build context"));
  }, ticketTtlMs);
  const onAbort = (): void => {
    arrived.reject(canceled("the build was canceled"));
    data.revoke(endpoint.ticket);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      const socket = await arrived.promise;
      clearTimeout(timer);
      yield* socket as AsyncIterable<Uint8Array>;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      read.resolve(undefined);
    }
  }
  return { endpoint, body: body() };
}

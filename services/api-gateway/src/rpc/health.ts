/** Health of all services, seen from the gateway: each one is as healthy as the service that serves it. */
import { setTimeout as pause } from "node:timers/promises";
import { hasKind, notFound } from "@gantry/errors";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import type { Channel } from "@gantry/rpc";

/** Channels that must be healthy, by service name; none for the gateway itself. */
export type HealthOwners = ReadonlyMap<string, readonly Channel[]>;

/** Answers one check. Throws not_found for an unknown service. */
export async function checkHealth(
  owners: HealthOwners,
  service: string,
  signal: AbortSignal,
): Promise<{ status: Status }> {
  const channels = owners.get(service);
  if (channels === undefined) throw notFound("service", service, `unknown service ${service}`);
  const all = await Promise.all(channels.map((each) => askPeer(each, signal)));
  return { status: all.every(Boolean) ? Status.SERVING : Status.NOT_SERVING };
}

async function askPeer(channel: Channel, signal: AbortSignal): Promise<boolean> {
  try {
    const { status } = await channel.client(Health).check({ service: "" }, { signal });
    return status === Status.SERVING;
  } catch (error) {
    if (hasKind(error, "unavailable")) return false;
    throw error;
  }
}

/** Time between looks: the peers' own watches end when they do, which is when this one matters. */
const watchIntervalMs = 500;

/** Tells the state at once and at each change. */
export async function* watchHealth(
  owners: HealthOwners,
  service: string,
  signal: AbortSignal,
): AsyncGenerator<{ status: Status }> {
  let last: Status | undefined;
  while (!signal.aborted) {
    const status = owners.has(service)
      ? (await checkHealth(owners, service, signal)).status
      : Status.SERVICE_UNKNOWN;
    if (status !== last) yield { status };
    last = status;
    await pause(watchIntervalMs, undefined, { signal, ref: false });
  }
}

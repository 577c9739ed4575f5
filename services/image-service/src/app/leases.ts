/** Leases: protection of what no image refers to. */
import { invalidArgument } from "@gantry/errors";
import type { LeaseResource } from "../domain/records.ts";
import type { Store } from "./store.ts";

/** Makes or extends a lease. @param ttlMs 0 = never expires */
export function acquireLease(
  store: Store,
  owner: string,
  resources: readonly LeaseResource[],
  ttlMs: number,
): void {
  if (owner === "") throw invalidArgument("a lease needs an owner");
  if (ttlMs < 0) throw invalidArgument("a lease's time to live must not be negative");
  const expires = ttlMs === 0 ? 0n : store.nowNano() + BigInt(ttlMs) * 1_000_000n;
  store.metadata.change((change) => {
    change.putLease(owner, expires, resources);
  });
}

/** Ends a lease; writable snapshots that belonged to it go as well. Idempotent. */
export function releaseLease(store: Store, owner: string): void {
  const owned = [...store.metadata.snapshots.values()].filter(
    ({ kind, leaseOwner }) => kind !== "layer" && leaseOwner === owner,
  );
  if (!store.metadata.leases.has(owner) && owned.length === 0) return;
  store.metadata.change((change) => {
    change.deleteLease(owner);
    for (const { key } of owned) change.deleteSnapshot(key);
  });
  for (const { id } of owned) store.dirs.remove(id);
  store.collector.schedule();
}

/** A lease that nobody claims (by a snapshot or by AcquireLease) ends after this time. */
const unclaimedLeaseNano = 3600n * 1_000_000_000n;

/** When a lease ends that nobody has claimed yet; one that lasts longer already is not shortened. */
export function unclaimedUntil({ metadata, nowNano }: Store, owner: string): bigint {
  const held = metadata.leases.get(owner);
  const expires = nowNano() + unclaimedLeaseNano;
  const keeps = held !== undefined && (held.expiresNano === 0n || held.expiresNano > expires);
  return keeps ? held.expiresNano : expires;
}

/** Protects a manifest or index with all that belongs to it. @param chainId its topmost layer, or empty */
export function contentLease(digest: string, chainId: string): readonly LeaseResource[] {
  return [
    { type: "image", id: digest },
    ...(chainId === "" ? [] : [{ type: "snapshot" as const, id: chainId }]),
  ];
}

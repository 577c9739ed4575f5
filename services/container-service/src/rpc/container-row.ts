/** Rows of ListContainers, each encoded anew only when something that it shows has been replaced. */
import { ContainerSchema } from "@gantry/proto/container";
import { encodeRow } from "@gantry/rpc";
import type { App } from "../app/context.ts";
import type { Entry } from "../app/entry.ts";
import { linkNames } from "../domain/link-names.ts";
import { containerSummary, type Sizes } from "./container-message.ts";

/** A row, and what it was made of. */
interface Made {
  readonly sources: readonly unknown[];
  readonly bytes: Uint8Array;
}

const made = new WeakMap<Entry, Made>();

/** @param sizes rows with sizes are made each time: sizes change by themselves */
export function containerRow(app: App, entry: Entry, sizes?: Sizes): Uint8Array {
  if (sizes !== undefined) return encodeRow(ContainerSchema, containerSummary(app, entry, sizes));
  const sources = sourcesOf(app, entry);
  const known = made.get(entry);
  if (known !== undefined && sameItems(known.sources, sources)) return known.bytes;
  const bytes = encodeRow(ContainerSchema, containerSummary(app, entry));
  made.set(entry, { sources, bytes });
  return bytes;
}

/** Everything that containerSummary reads and that may change. Records and views are never changed, only replaced. */
function sourcesOf(app: App, entry: Entry): readonly unknown[] {
  const parents = app.registry.linking().map(({ record }) => record);
  return [
    entry.record,
    entry.health,
    entry.imageDisplay,
    app.networking.settings(entry.id),
    app.volumes.mountPoints(entry.id),
    ...(parents.length === 0 ? [] : linkNames(parents, entry.record)),
  ];
}

function sameItems(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}

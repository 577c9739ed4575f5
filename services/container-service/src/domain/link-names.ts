/** Legacy links, and the names that they give. */
import type { ContainerRecord } from "./container-record.ts";
import { type Link, parseLink } from "./network/declare-rules.ts";
import { defaultBridge, normalizeMode, parseMode } from "./network/network-modes.ts";

/** A container's own links as inspect shows them, `/target:/name/alias`, without those whose target is gone. */
export function shownLinks(all: readonly ContainerRecord[], record: ContainerRecord): string[] {
  return (record.hostConfig.links?.values ?? []).map(parseLink).flatMap(({ container, alias }) => {
    const target = all.find(({ id, name }) => id === container || name === container);
    return target === undefined ? [] : [`/${target.name}:/${record.name}/${alias}`];
  });
}

/** Links that give names: those on the default bridge. In a network of the user's they are the endpoint's. */
export function namingLinks({ hostConfig }: ContainerRecord): Link[] {
  const mode = parseMode(normalizeMode(hostConfig.networkMode));
  if (mode.kind === "network" && mode.reference !== defaultBridge) return [];
  return (hostConfig.links?.values ?? []).map(parseLink);
}

/** `/parent/alias` for each container that links to this one. */
export function linkNames(all: readonly ContainerRecord[], record: ContainerRecord): string[] {
  return all.flatMap((parent) =>
    namingLinks(parent)
      .filter(({ container }) => container === record.name || container === record.id)
      .map(({ alias }) => `/${parent.name}/${alias}`),
  );
}

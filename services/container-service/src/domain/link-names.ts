/** Legacy links, and the names that they give. */
import type { ContainerRecord } from "./container-record.ts";
import { parseLink } from "./network/declare-rules.ts";

/** A container's own links as inspect shows them, `/target:/name/alias`, without those whose target is gone. */
export function shownLinks(all: readonly ContainerRecord[], record: ContainerRecord): string[] {
  return (record.hostConfig.links?.values ?? []).map(parseLink).flatMap(({ container, alias }) => {
    const target = all.find(({ id, name }) => id === container || name === container);
    return target === undefined ? [] : [`/${target.name}:/${record.name}/${alias}`];
  });
}

/** `/parent/alias` for each container that links to this one. */
export function linkNames(all: readonly ContainerRecord[], record: ContainerRecord): string[] {
  return all.flatMap((parent) =>
    (parent.hostConfig.links?.values ?? []).flatMap((link) => {
      const [target = "", alias = target] = link.split(":");
      const meant = target === record.name || target === record.id;
      return meant ? [`/${parent.name}/${alias}`] : [];
    }),
  );
}

/** Names that legacy links give a container: `/parent/alias` for each container that links to it. */
import type { ContainerRecord } from "./container-record.ts";

export function linkNames(all: readonly ContainerRecord[], record: ContainerRecord): string[] {
  return all.flatMap((parent) =>
    (parent.hostConfig.links?.values ?? []).flatMap((link) => {
      const [target = "", alias = target] = link.split(":");
      const meant = target === record.name || target === record.id;
      return meant ? [`/${parent.name}/${alias}`] : [];
    }),
  );
}

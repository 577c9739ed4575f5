/** The container records as networks and volumes use them. */
import { hasKind, invalidArgument } from "@gantry/errors";
import type { ContainerDirectory, FoundContainer } from "../ports/networking.ts";
import type { VolumesFromDirectory } from "../ports/volumes.ts";
import { type Entry, pidOf } from "./entry.ts";
import type { Registry } from "./registry.ts";

export function containerDirectory(registry: Registry): ContainerDirectory & VolumesFromDirectory {
  return {
    find: (reference) => found(registry.find(reference)),
    byId(id) {
      const entry = registry.byId(id);
      return entry === undefined ? undefined : found(entry);
    },
    exclusively(id, run) {
      const entry = registry.byId(id);
      return entry === undefined ? run() : entry.serial.run(run);
    },
    resolveId(reference) {
      try {
        return registry.find(reference).id;
      } catch (error) {
        if (!hasKind(error, "not_found")) throw error;
        // In a create, not_found would mean the image to the CLI.
        throw invalidArgument(`No such container: ${reference}`, { cause: error });
      }
    },
  };
}

function found(entry: Entry): FoundContainer {
  const { id, name, config, hostConfig, state } = entry.record;
  const removing = entry.removing || state.status === "removing" || state.status === "dead";
  return { id, name, config, hostConfig, pid: pidOf(entry), removing };
}

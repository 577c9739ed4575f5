/** `container:<name>` in namespace modes is kept as `container:<id>`. */
import { hasKind, invalidArgument } from "@gantry/errors";
import type { HostConfig } from "../domain/nouns.ts";
import type { App } from "./context.ts";

const prefix = "container:";

/** Throws invalid_argument: in a create, not_found would mean the image to the CLI. */
export function resolveNamespaceReferences(app: App, hostConfig: HostConfig): HostConfig {
  const resolve = (mode: string): string =>
    mode.startsWith(prefix) ? `${prefix}${idOf(app, mode.slice(prefix.length))}` : mode;
  return {
    ...hostConfig,
    networkMode: laterResolved(app, hostConfig.networkMode),
    ipcMode: resolve(hostConfig.ipcMode),
    pidMode: resolve(hostConfig.pidMode),
  };
}

/** A container whose network is to be shared is missed by the start, not by the create. */
function laterResolved(app: App, mode: string): string {
  if (!mode.startsWith(prefix)) return mode;
  try {
    return `${prefix}${app.registry.find(mode.slice(prefix.length)).id}`;
  } catch (error) {
    if (!hasKind(error, "not_found")) throw error;
    return mode;
  }
}

function idOf(app: App, reference: string): string {
  try {
    return app.registry.find(reference).id;
  } catch (error) {
    if (!hasKind(error, "not_found")) throw error;
    throw invalidArgument(`No such container: ${reference}`, { cause: error });
  }
}

/** ID in `container:<id>`, or undefined for another mode. */
export function referencedContainer(mode: string): string | undefined {
  return mode.startsWith(prefix) ? mode.slice(prefix.length) : undefined;
}

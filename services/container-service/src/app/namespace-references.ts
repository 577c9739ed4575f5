/** `container:<name>` in namespace modes is kept as `container:<id>`, and so are the containers of links: names change. */
import { hasKind, invalidArgument, isEngineError } from "@gantry/errors";
import { isWord, parseLink } from "../domain/network/declare-rules.ts";
import type { HostConfig } from "../domain/nouns.ts";
import type { App } from "./context.ts";

const prefix = "container:";

/** Throws invalid_argument: in a create, not_found would mean the image to the CLI. */
export function resolveNamespaceReferences(app: App, hostConfig: HostConfig): HostConfig {
  const resolve = (mode: string): string =>
    mode.startsWith(prefix) ? `${prefix}${idOf(app, mode.slice(prefix.length))}` : mode;
  const { links } = hostConfig;
  return {
    ...hostConfig,
    ...(links === undefined
      ? {}
      : { links: { ...links, values: links.values.map((link) => resolvedLink(app, link)) } }),
    networkMode: laterResolved(app, hostConfig.networkMode),
    ipcMode: resolve(hostConfig.ipcMode),
    pidMode: resolve(hostConfig.pidMode),
  };
}

/** What is wrong with a link is told when its networks are declared. */
function resolvedLink(app: App, link: string): string {
  try {
    const { container, alias } = parseLink(link);
    return container === "" || !isWord(alias)
      ? link
      : `${app.registry.find(container).id}:${alias}`;
  } catch (error) {
    if (!isEngineError(error)) throw error;
    return link;
  }
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

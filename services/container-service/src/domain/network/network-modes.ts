/** HostConfig.NetworkMode: which kind of network a container is on. */

/** The network mode of a container, taken apart. */
export type NetworkMode =
  | { readonly kind: "none" }
  | { readonly kind: "host" }
  | { readonly kind: "container"; readonly reference: string }
  /** `bridge` is the predefined one; everything else a network's name or ID. */
  | { readonly kind: "network"; readonly reference: string };

export const defaultBridge = "bridge";

/** Names of the networks that every engine has. */
export const predefinedNames: readonly string[] = ["bridge", "host", "none"];

/** `default` and nothing mean `bridge`. */
export function normalizeMode(mode: string): string {
  return mode === "" || mode === "default" ? defaultBridge : mode;
}

/** Takes a normalised mode apart. */
export function parseMode(mode: string): NetworkMode {
  if (mode === "none" || mode === "host") return { kind: mode };
  if (mode === "container" || mode.startsWith("container:")) {
    return { kind: "container", reference: mode.slice("container:".length) };
  }
  return { kind: "network", reference: mode };
}

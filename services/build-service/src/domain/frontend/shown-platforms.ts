/** Platforms in the names of steps, as BuildKit writes them: `linux/amd64`, cross-built `linux/amd64->arm64`. */
import { formatPlatform, normalizePlatform, type Platform, parsePlatform } from "@gantry/oci";
import type { Lookup } from "../dockerfile/expand.ts";

/** @param lookup variables of the step: a step that does not see its target is not told as built for another */
export function shownPlatforms(platform: Platform, lookup: Lookup): string {
  const target = targetOf(platform, lookup);
  const shown = formatPlatform(platform);
  if (target === undefined || formatPlatform(target) === shown) return shown;
  const sameOs = target.os === platform.os;
  const { architecture, variant } = target;
  return `${shown}->${sameOs ? [architecture, ...(variant === undefined ? [] : [variant])].join("/") : formatPlatform(target)}`;
}

function targetOf(platform: Platform, lookup: Lookup): Platform | undefined {
  const whole = lookup("TARGETPLATFORM");
  if (whole !== undefined) {
    try {
      return parsePlatform(whole);
    } catch {
      // A build argument that is no platform: the parts may say.
    }
  }
  const [os, architecture, variant] = ["OS", "ARCH", "VARIANT"].map((part) =>
    lookup(`TARGET${part}`),
  );
  if (os === undefined && architecture === undefined && variant === undefined) return undefined;
  return normalizePlatform({
    os: os || platform.os,
    architecture: architecture || platform.architecture,
    ...(variant && { variant }),
  });
}

/** Values of build arguments: the client's, the Dockerfile's, and those that are always there. */
import { formatPlatform, type Platform } from "@gantry/oci";

/** Proxies: known without ARG, and in no cache key. */
const proxyNames = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/** Whether a name is that of a proxy variable, in either case. */
export function isProxy(name: string): boolean {
  return (
    proxyNames.includes(name.toUpperCase()) &&
    (name === name.toUpperCase() || name === name.toLowerCase())
  );
}

/** Proxy variables of the client as an environment, in both cases. */
export function proxyEnvironment(buildArgs: ReadonlyMap<string, string | undefined>): string[] {
  const env = new Map<string, string>();
  for (const [name, value] of buildArgs) {
    if (value === undefined || !isProxy(name)) continue;
    for (const each of [name.toUpperCase(), name.toLowerCase()]) {
      if (buildArgs.get(each) === undefined) env.set(each, value);
    }
    env.set(name, value);
  }
  return [...env].map(([name, value]) => `${name}=${value}`);
}

/** Arguments about platforms, known to FROM, and to stages that declare them. */
export function platformArguments(
  build: Platform,
  target: Platform,
  targetStage: string,
): Map<string, string> {
  const of = (prefix: string, platform: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform.osVersion ?? ""],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ""],
  ];
  return new Map([
    ...of("BUILD", build),
    ...of("TARGET", target),
    ["TARGETSTAGE", targetStage === "" ? "default" : targetStage],
  ]);
}

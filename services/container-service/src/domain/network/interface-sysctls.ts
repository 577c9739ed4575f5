/** Sysctls of one endpoint's interface, as its driver option names them. Texts are Docker's. */
import { internal } from "@gantry/errors";
import type { EndpointWish, LiveEndpoint } from "./records.ts";

/** Driver option: `net.ipv4.conf.IFNAME.log_martians=1`, several separated by commas. */
const optionName = "com.docker.network.endpoint.sysctls";

/** One wish of the option. */
export interface InterfaceSysctl {
  /** Below /proc/sys, with `IFNAME` for the interface. */
  readonly path: string;
  readonly value: string;
}

function textsOf({ driverOpts }: Pick<EndpointWish, "driverOpts">): string[] {
  return (driverOpts[optionName] ?? "").split(",").filter((text) => text !== "");
}

/** What is no sysctl of an interface; empty when all are. */
export function sysctlProblems(wish: Pick<EndpointWish, "driverOpts">): string[] {
  return textsOf(wish)
    .filter((text) => !/^[^.]*\.(?:ipv4|ipv6|mpls)\.[^.]*\.(?:IFNAME|ifname)\../.test(text))
    .map(
      (text) =>
        `unrecognised network interface sysctl '${text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
    );
}

/** The wishes of an endpoint that has its place. Errors: internal (no value). */
export function interfaceSysctls(
  live: LiveEndpoint,
  wish: Pick<EndpointWish, "driverOpts">,
): InterfaceSysctl[] {
  return textsOf(wish).map((text) => {
    const [, name, value] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw sandboxError(live, `expected sysctl '${text}' to have format name=value`);
    }
    return { path: name.replaceAll(".", "/").replace(/\/ifname\//, "/IFNAME/"), value };
  });
}

/** The path below /proc/sys for an interface of that name. */
export function sysctlPath({ path }: InterfaceSysctl, interfaceName: string): string {
  return path.replace("IFNAME", interfaceName);
}

/** Only what is below the interfaces' own folders, whatever dots and slashes a name is made of. */
export function isInterfaceSysctl({ path }: InterfaceSysctl): boolean {
  return /^net\/(?:ipv4|ipv6|mpls)\/(?:conf|neigh)\/IFNAME\/[a-z0-9_]+$/.test(path);
}

/** An interface that cannot be what it is to be. */
export function sandboxError(
  { hostName, interfaceName }: Pick<LiveEndpoint, "hostName" | "interfaceName">,
  why: string,
): Error {
  return internal(`failed to add interface ${hostName || interfaceName} to sandbox: ${why}`);
}

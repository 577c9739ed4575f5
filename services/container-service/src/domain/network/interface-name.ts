/** Names of interfaces in containers. */
import { sandboxError } from "./interface-sysctls.ts";
import type { LiveEndpoint } from "./records.ts";

/** The endpoint's driver option that asks for a name. */
export const interfaceNameOption = "com.docker.network.endpoint.ifname";

/** What a name is chosen from. */
export interface InterfaceNameWish {
  /** Empty: the prefix with the first free number. One `%d` stands for the first free number, as for the kernel. */
  readonly wanted: string;
  readonly prefix: string;
  /** Of the host's end, for messages. */
  readonly hostName: string;
  readonly usedNames: ReadonlySet<string>;
}

/** Errors: internal, with the kernel's reasons against a name, told before anything is made. */
export function chooseInterfaceName(wish: InterfaceNameWish): string {
  const { wanted, prefix, usedNames } = wish;
  if (wanted === "") return freeNumbered(prefix, "", usedNames);
  checkInterfaceName(wish);
  const [before = "", after] = wanted.split("%d");
  return after === undefined ? wanted : freeNumbered(before, after, usedNames);
}

function freeNumbered(before: string, after: string, usedNames: ReadonlySet<string>): string {
  for (let index = 0; ; index++) {
    const name = `${before}${index}${after}`;
    if (!usedNames.has(name)) return name;
  }
}

function checkInterfaceName({ wanted: name, hostName, usedNames }: InterfaceNameWish): void {
  const refuse = (why: string): Error => renamingError({ hostName, interfaceName: name }, why);
  if (Buffer.byteLength(name) > 15) throw refuse("numerical result out of range");
  const isPlain = !/[\s/:%\0]/.test(name.replace("%d", ""));
  if (!isPlain || name === "." || name === "..") throw refuse("invalid argument");
  if (name === "lo" || usedNames.has(name)) throw refuse("file exists");
}

/** An interface that cannot have its name. */
export function renamingError(
  endpoint: Pick<LiveEndpoint, "hostName" | "interfaceName">,
  why: string,
): Error {
  const names = [endpoint.hostName, endpoint.interfaceName].map((name) => JSON.stringify(name));
  return sandboxError(endpoint, `error renaming interface ${names.join(" to ")}: ${why}`);
}

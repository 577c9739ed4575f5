/** Links, addresses and sysctls of the host, by the kernel addon. */
import { readFile, readlink, writeFile } from "node:fs/promises";
import { release } from "node:os";
import { hasErrno, internal } from "@gantry/errors";
import type { Link, NetworkKernel, NewLink } from "@gantry/native";
import { addressChanges } from "../../domain/network/bridge-addresses.ts";
import { renamingError } from "../../domain/network/interface-name.ts";
import { randomMac } from "../../domain/network/mac-address.ts";
import type { MadeParent } from "../../domain/network/parent-link.ts";
import {
  type BridgeSpec,
  type DefaultRoute,
  type EphemeralPorts,
  type HostLinks,
  type LinkMark,
  type MadeInterface,
  NamespaceGoneError,
} from "../../ports/network-host.ts";
import type { InterfacePlan } from "../../ports/networking.ts";

const globalScope = 0;
const procNet = "/proc/sys/net";

export class KernelHostLinks implements HostLinks {
  readonly #kernel: NetworkKernel;

  constructor(kernel: NetworkKernel) {
    this.#kernel = kernel;
  }

  async usedSubnets(except: ReadonlySet<string>): Promise<string[]> {
    const [links, routes] = await Promise.all([
      this.#kernel.listLinks(),
      this.#kernel.listRoutes(),
    ]);
    const ours = new Set(links.filter((link) => except.has(link.name)).map((link) => link.index));
    const fromLinks = links
      .filter((link) => !ours.has(link.index))
      .flatMap((link) => link.addresses.filter(({ scope }) => scope === globalScope))
      .map(({ cidr }) => cidr);
    const fromRoutes = routes
      .filter(({ link, destination }) => !ours.has(link) && !destination.endsWith("/0"))
      .map(({ destination }) => destination);
    return [...fromLinks, ...fromRoutes];
  }

  async linkNames(kind?: "bridge" | "dummy" | "vlan"): Promise<string[]> {
    const links = await this.#kernel.listLinks();
    return links
      .filter((link) => kind === undefined || link.kind === kind)
      .map((link) => link.name);
  }

  async markedLinks(aliasPrefix: string): Promise<string[]> {
    const links = await this.#kernel.listLinks();
    return links.filter(({ alias }) => alias.startsWith(aliasPrefix)).map(({ name }) => name);
  }

  /** Under no other name than one of ours before it is marked: whoever dies in between leaves what is known for ours. */
  async #makeMarked(link: NewLink, { interimName, alias }: LinkMark): Promise<void> {
    await this.#kernel.createLink({ ...link, name: interimName });
    if (interimName === link.name) return;
    try {
      await this.#kernel.renameLink(interimName, link.name, alias);
    } catch (error) {
      await this.removeLink(interimName);
      throw error;
    }
  }

  async makeParent(parent: MadeParent, mark: LinkMark): Promise<void> {
    const { kind, name } = parent;
    try {
      const link: NewLink =
        parent.kind === "vlan"
          ? { kind: "vlan", name, parent: parent.below, mode: parent.id }
          : { kind: "dummy", name };
      await this.#makeMarked(link, mark);
    } catch (error) {
      if (!hasErrno(error, "EOPNOTSUPP")) throw error;
      const what = kind === "vlan" ? `failed to create ${name} vlan link: ` : "";
      throw internal(`${what}operation not supported`, { cause: error });
    }
    await this.#kernel.setLinkUp(name, true);
  }

  async ensureBridge(spec: BridgeSpec, mark: LinkMark): Promise<void> {
    const found = await this.#find(spec.name);
    if (found !== undefined && found.kind !== "bridge") {
      throw internal(`existing interface ${spec.name} is not a bridge`);
    }
    if (found === undefined) await this.#createBridge(spec, mark);
    else if (spec.mtu !== 0 && found.mtu !== spec.mtu) {
      await this.#kernel.setLinkMtu(spec.name, spec.mtu);
    }
    // Before the first address and before it is up: else it would take a link-local address for a moment.
    if (spec.ipv6 || !spec.isFound) await this.#setIpv6(spec.name, spec.ipv6);
    await this.#setAddresses(spec, found);
    if (found?.up !== true) await this.#kernel.setLinkUp(spec.name, true);
  }

  /** With a MAC address of its own: else the bridge would take that of its lowest port, and change it. */
  async #createBridge(spec: BridgeSpec, mark: LinkMark): Promise<void> {
    const mtu = spec.mtu === 0 ? {} : { mtu: spec.mtu };
    const link = { kind: "bridge", name: spec.name, mac: randomMac(), ...mtu } as const;
    await this.#makeMarked(link, mark);
  }

  async #setIpv6(name: string, on: boolean): Promise<void> {
    const folder = `${procNet}/ipv6/conf/${name}`;
    const switchFile = `${folder}/disable_ipv6`;
    if (on && (await readIfPresent(switchFile)) === undefined) {
      const why = `open ${switchFile}: no such file or directory`;
      throw internal(`Cannot read IPv6 setup for bridge ${name}: ${why}`);
    }
    await writeIfPresent(switchFile, on ? "0" : "1");
    await writeIfPresent(`${folder}/accept_ra`, "0");
    // Its MAC is random. Until a check for a twin ends, a second or two, no neighbour could be asked for.
    await writeIfPresent(`${folder}/accept_dad`, "0");
  }

  async #setAddresses(spec: BridgeSpec, found: Link | undefined): Promise<void> {
    const has = (found?.addresses ?? [])
      .filter(({ scope }) => scope === globalScope)
      .map(({ cidr }) => cidr);
    const { remove, add } = addressChanges(spec, has);
    for (const cidr of remove) await this.#kernel.removeAddress(spec.name, cidr);
    for (const cidr of add) await this.#kernel.addAddress(spec.name, cidr);
  }

  async removeLink(name: string): Promise<void> {
    try {
      await this.#kernel.deleteLink(name);
    } catch (error) {
      if (!hasErrno(error, "ENODEV")) throw error;
    }
  }

  async #find(name: string): Promise<Link | undefined> {
    const links = await this.#kernel.listLinks();
    return links.find((link) => link.name === name);
  }

  async enableForwarding(families: {
    readonly ipv4: boolean;
    readonly ipv6: boolean;
  }): Promise<void> {
    if (families.ipv4) await switchOn(`${procNet}/ipv4/ip_forward`);
    if (families.ipv6) await switchOn(`${procNet}/ipv6/conf/all/forwarding`);
  }

  async ephemeralPorts(): Promise<EphemeralPorts | undefined> {
    const range = await readIfPresent(`${procNet}/ipv4/ip_local_port_range`);
    const reserved = await readIfPresent(`${procNet}/ipv4/ip_local_reserved_ports`);
    const [first, last] = range?.trim().split(/\s+/).map(Number) ?? [];
    if (first === undefined || last === undefined) return undefined;
    return { first, last, reserved: parsePortList(reserved ?? "") };
  }

  async hasSctp(): Promise<boolean> {
    if ((await readIfPresent("/proc/net/sctp/snmp")) !== undefined) return true;
    const modules = `/lib/modules/${release()}`;
    const lists = await Promise.all(
      ["modules.dep", "modules.builtin"].map((file) => readIfPresent(`${modules}/${file}`)),
    );
    return lists.some((list) => list?.includes("/net/sctp/sctp.ko"));
  }

  async hasSysctl(path: string): Promise<boolean> {
    return (await readIfPresent(`/proc/sys/${path}`)) !== undefined;
  }

  async hasIpv6(): Promise<boolean> {
    const disabled = await readIfPresent(`${procNet}/ipv6/conf/all/disable_ipv6`);
    return disabled?.trim() === "0";
  }

  async forgetUdpFlows(hostPorts: readonly number[]): Promise<void> {
    await this.#kernel.forgetUdpFlows(hostPorts);
  }

  async setHairpin(hostName: string): Promise<void> {
    await writeIfPresent(`/sys/class/net/${hostName}/brport/hairpin_mode`, "1");
  }

  async attach(pid: number, plan: InterfacePlan): Promise<void> {
    try {
      await this.#kernel.attachInterface(pid, { ...plan, modeNumber: modeNumber(plan) });
    } catch (error) {
      if (!(await hasNamespace(pid))) throw new NamespaceGoneError({ cause: error });
      throw nameTaken(plan, error) ?? unwritable(plan, error) ?? error;
    }
  }

  async detach(pid: number, { interfaceName, hostName }: MadeInterface): Promise<void> {
    await whileThere(pid, this.#kernel.detachInterface(pid, interfaceName, hostName));
  }

  async setDefaultRoutes(
    pid: number,
    ipv4: DefaultRoute | undefined,
    ipv6: DefaultRoute | undefined,
  ): Promise<void> {
    await whileThere(pid, this.#kernel.setDefaultRoutes(pid, ipv4, ipv6));
  }
}

/** With the network namespace went everything that was to be changed in it. */
async function whileThere(pid: number, change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (await hasNamespace(pid)) throw error;
  }
}

/** A process that is ending lets go of its namespaces before anybody hears of its end. */
async function hasNamespace(pid: number): Promise<boolean> {
  try {
    await readlink(`/proc/${String(pid)}/ns/net`);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH")) return false;
    throw error;
  }
}

/** The error of a name that a program of the container has given to an interface of its own, in Docker's words. */
function nameTaken({ hostName, name }: InterfacePlan, error: unknown): Error | undefined {
  if (!(error instanceof Error) || !hasErrno(error, "EEXIST")) return undefined;
  return renamingError({ hostName, interfaceName: name }, "file exists");
}

/** The error of a sysctl that does not take its value, in Docker's words. */
function unwritable({ hostName, name }: InterfacePlan, error: unknown): Error | undefined {
  if (!(error instanceof Error) || !hasErrno(error, "EINVAL")) return undefined;
  const [, path] = /write (\/proc\/sys\/[^:]+):/.exec(error.message) ?? [];
  if (path === undefined) return undefined;
  return internal(
    `failed to add interface ${hostName || name} to sandbox: unable to write to '${path}': write ${path}: invalid argument`,
    { cause: error },
  );
}

const macvlanModes: Readonly<Record<string, number>> = {
  private: 1,
  vepa: 2,
  bridge: 4,
  passthru: 8,
};
const ipvlanModes: Readonly<Record<string, number>> = { l2: 0, l3: 1, l3s: 2 };

function modeNumber(plan: InterfacePlan): number {
  const modes = plan.kind === "ipvlan" ? ipvlanModes : macvlanModes;
  return modes[plan.mode] ?? (plan.kind === "ipvlan" ? 0 : 4);
}

/** `1000,2000-2010`. */
function parsePortList(text: string): Set<number> {
  const ports = new Set<number>();
  for (const part of text.trim().split(",")) {
    const [first = Number.NaN, last = first] = part.split("-").map(Number);
    for (let port = first; part !== "" && port <= last; port++) ports.add(port);
  }
  return ports;
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** A kernel without IPv6 has no such files, nor has a link that is gone. */
async function writeIfPresent(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    // ENODEV: it went after the file was opened.
    if (!hasErrno(error, "ENOENT") && !hasErrno(error, "ENODEV")) throw error;
  }
}

async function switchOn(path: string): Promise<void> {
  const now = await readIfPresent(path);
  if (now === undefined || now.trim() === "1") return;
  await writeFile(path, "1");
}

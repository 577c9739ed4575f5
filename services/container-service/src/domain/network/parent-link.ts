/** The link below a macvlan or ipvlan network. Texts are Docker's. */
import { internal } from "@gantry/errors";
import type { NetworkDriver, NetworkRecord } from "./records.ts";

/** A link that is made for a network whose parent does not exist. */
export type MadeParent =
  /** Leads nowhere: the network's containers see only each other. */
  | { readonly kind: "dummy"; readonly name: string }
  /** `eth0.10`: VLAN 10 of eth0. */
  | { readonly kind: "vlan"; readonly name: string; readonly below: string; readonly id: number };

const modes = {
  macvlan: { known: ["bridge", "private", "vepa", "passthru"], usual: "bridge" },
  ipvlan: { known: ["l2", "l3", "l3s"], usual: "l2" },
} as const;

/** Errors: internal (unknown mode or flag, the loopback as parent). */
export function checkVlanOptions(
  driver: "macvlan" | "ipvlan",
  options: Readonly<Record<string, string>>,
): void {
  const { known, usual } = modes[driver];
  const mode = options[`${driver}_mode`] ?? "";
  if (mode !== "" && !known.some((each) => each === mode)) {
    throw internal(
      `requested ${driver} mode '${mode}' is not valid, '${usual}' mode is the ${driver} driver default`,
    );
  }
  const flag = options["ipvlan_flag"] ?? "";
  if (driver === "ipvlan" && !["", "bridge", "private", "vepa"].includes(flag)) {
    throw internal(
      `requested ipvlan flag '${flag}' is not valid, 'bridge' is the ipvlan driver default`,
    );
  }
  if (options["parent"] === "lo") {
    throw internal(`loopback interface is not a valid ${driver} parent link`);
  }
}

/** Whether containers leave by the parent's own routes, without a gateway: ipvlan in its modes of layer 3. */
export function isRoutedByParent(
  driver: NetworkDriver,
  { options }: Pick<NetworkRecord, "options">,
): boolean {
  return driver === "ipvlan" && ["l3", "l3s"].includes(options["ipvlan_mode"] ?? "");
}

/** What to make for a parent that is not there, `below` being in `links`. Errors: internal. */
export function vlanParent(name: string, links: readonly string[]): MadeParent {
  if (!name.includes(".")) {
    throw internal(`invalid subinterface vlan name ${name}, example formatting is eth0.10`);
  }
  const [below = "", text = "", ...rest] = name.split(".");
  if (rest.length > 0) {
    throw internal(
      `required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received ${name}`,
    );
  }
  if (!/^[+-]?\d+$/.test(text)) {
    throw internal(`unable to parse a valid vlan id from: ${text} (ex. eth0.10 for vlan 10)`);
  }
  if (!links.includes(below)) {
    throw internal(`-o parent interface was not found on the host: ${below}`);
  }
  const id = Number(text);
  if (id < 1 || id > 4094) throw internal(`vlan id must be between 1-4094, received: ${id}`);
  return { kind: "vlan", name, below, id };
}

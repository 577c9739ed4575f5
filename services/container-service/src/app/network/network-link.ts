/** The host's link of a network: a bridge, or the parent of what its containers get. */
import { internal, permissionDenied } from "@gantry/errors";
import { parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import { type MadeParent, vlanParent } from "../../domain/network/parent-link.ts";
import type { NetworkDriver, NetworkRecord } from "../../domain/network/records.ts";
import type { LinkMark } from "../../ports/network-host.ts";
import type { NetworkContext } from "./context.ts";
import type { NewNetwork } from "./new-network.ts";

export function ourLinks(context: NetworkContext): ReadonlySet<string> {
  return new Set(context.registry.reservedNetworks().map((network) => network.link));
}

/** Name of the link: chosen by an option, or made from the ID. */
export function linkOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  id: string,
): string {
  if (driver === "bridge") {
    return parseBridgeOptions(request.options).name ?? ownName(context, id);
  }
  // Without a parent it gets one that leads nowhere.
  return request.options["parent"] || ownName(context, id);
}

function ownName({ options }: NetworkContext, id: string): string {
  return `${options.linkPrefix}-${id}`.slice(0, 15);
}

/** Whether a link's name is one that we make. */
export function isOwnName({ options }: NetworkContext, name: string): boolean {
  return name.length === 15 && name.startsWith(`${options.linkPrefix}-`);
}

/** How the aliases begin of all links that are made for networks. */
export function aliasPrefix({ options }: NetworkContext): string {
  return `${options.linkPrefix} network `;
}

/** The mark of a link that is made for a network. */
export function markOf(
  context: NetworkContext,
  { id, link }: Pick<NetworkRecord, "id" | "link">,
): LinkMark {
  const interimName = link === `${context.options.linkPrefix}0` ? link : ownName(context, id);
  return { interimName, alias: `${aliasPrefix(context)}${id}` };
}

/** What is there of its link already. Errors: internal (a bridge's name is another link's). */
export function withLink(
  record: NetworkRecord,
  links: readonly string[],
  bridges: readonly string[],
): NetworkRecord {
  const { link, driver, options } = record;
  const isThere = links.includes(link);
  if (driver === "bridge") {
    if (isThere && !bridges.includes(link)) {
      throw internal(`existing interface ${link} is not a bridge`);
    }
    return isThere ? { ...record, isFoundBridge: true } : record;
  }
  if (link === "" || isThere) return record;
  const madeParent: MadeParent =
    (options["parent"] ?? "") === "" ? { kind: "dummy", name: link } : vlanParent(link, links);
  return { ...record, madeParent };
}

/** Errors: permission_denied (a bridge of another network), internal (a parent that is another network's alone). */
export function checkLink(context: NetworkContext, record: NetworkRecord): void {
  if (record.driver === "macvlan" || record.driver === "ipvlan") checkParentIsFree(context, record);
  if (record.driver !== "bridge" || record.link === "") return;
  const other = context.registry.reservedNetworks().find((network) => network.link === record.link);
  if (other === undefined) return;
  throw permissionDenied(
    `cannot create network ${record.id} (${record.link}): conflicts with network ${other.id} (${other.link}): networks have same bridge name`,
  );
}

/** One ipvlan network has a parent for itself, so has a macvlan network in mode passthru. */
function checkParentIsFree({ registry }: NetworkContext, record: NetworkRecord): void {
  const { driver, link } = record;
  const other = registry
    .reservedNetworks()
    .find((network) => network.driver === driver && network.link === link && !network.configOnly);
  if (other === undefined || record.configOnly) return;
  const uses = `is already using parent interface ${link}`;
  if (driver === "ipvlan") throw internal(`network di-${other.id.slice(0, 12)} ${uses}`);
  const isPassthru = ({ options }: NetworkRecord): boolean =>
    options["macvlan_mode"] === "passthru";
  if (isPassthru(record)) {
    throw internal(`cannot use mode passthru, macvlan network ${other.id} ${uses}`);
  }
  if (isPassthru(other)) throw internal(`macvlan network ${other.id} ${uses} in mode passthru`);
}

/** Makes a network: checks it, finds its subnets, and puts bridge and rules in place. */
import { checkVlanOptions } from "../../domain/network/parent-link.ts";
import {
  type NetworkDriver,
  type NetworkRecord,
  shownDriver,
} from "../../domain/network/records.ts";
import { bridgeSpec, ownLink } from "./bridge-state.ts";
import type { NetworkContext } from "./context.ts";
import { checkLink, linkOf, markOf, ourLinks, withLink } from "./network-link.ts";
import { checkBridgeSubnets, subnetsOf, unusedOf } from "./network-subnets.ts";
import {
  checkAddressing,
  checkBridge,
  checkName,
  driverOf,
  fromConfiguration,
  type NewNetwork,
} from "./new-network.ts";

/**
 * Errors: already_exists (name), permission_denied (predefined name, overlapping subnet, swarm), invalid_argument,
 * not_found (driver), internal (driver options, addresses). After an error nothing is left.
 */
export async function createNetwork(
  context: NetworkContext,
  request: NewNetwork,
): Promise<NetworkRecord> {
  checkName(context, request);
  const wanted = fromConfiguration(context, request);
  const driver = driverOf(wanted);
  checkAddressing(wanted);
  if (driver !== "bridge") checkVlanOptions(driver, wanted.options);
  else if (!wanted.configOnly) checkBridge(wanted);
  const used = await context.links.usedSubnets(ourLinks(context));
  const links = await context.links.linkNames();
  const bridges = await context.links.linkNames("bridge");
  // From here to the registry nothing waits: two creations never see the same free subnet or name.
  checkName(context, request);
  const record = withLink(recordOf(context, wanted, driver, used), links, bridges);
  if (driver === "bridge") checkBridgeSubnets(record);
  checkLink(context, record);
  context.registry.reserveNetwork(record);
  try {
    await establish(context, record);
    await context.store.commit(
      [context.registry.putNetwork(record)],
      [
        {
          type: "network",
          action: "create",
          actorId: record.id,
          attributes: { name: record.name, type: shownDriver(record) },
        },
      ],
      { durable: true },
    );
  } catch (error) {
    await abandon(context, record);
    throw error;
  }
  return record;
}

function recordOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  used: readonly string[],
): NetworkRecord {
  const id = context.ids.id();
  return {
    id,
    name: request.name,
    createdNano: String(context.ids.nowNano()),
    driver,
    ...(["", "local"].includes(request.scope) ? {} : { scope: request.scope }),
    enableIpv4: request.enableIpv4,
    enableIpv6: request.enableIpv6,
    internal: request.internal,
    attachable: request.attachable,
    configOnly: request.configOnly,
    configFrom: request.configFrom,
    ipam: {
      driver: "default",
      options: request.ipam.options,
      ...(request.ipam.hasOptions === true ? { hasOptions: true } : {}),
      config: request.configOnly ? request.ipam.config : subnetsOf(context, request, driver, used),
      ...(request.configOnly ? {} : unusedOf(request)),
    },
    options: request.options,
    labels: request.labels,
    link: request.configOnly ? "" : linkOf(context, request, driver, id),
  };
}

async function establish(context: NetworkContext, record: NetworkRecord): Promise<void> {
  const mark = markOf(context, record);
  if (record.madeParent !== undefined) await context.links.makeParent(record.madeParent, mark);
  if (record.driver !== "bridge" || record.configOnly) return;
  // Rules know bridges by name, and wait for the kernel: neither needs the other to be there.
  const rules = context.rules.rewrite();
  const link = makeBridge(context, record);
  await Promise.allSettled([rules, link]);
  await Promise.all([link, rules]);
}

async function makeBridge(context: NetworkContext, record: NetworkRecord): Promise<void> {
  const { links } = context;
  await links.ensureBridge(bridgeSpec(record), markOf(context, record));
  if (record.enableIpv6 && !record.internal) {
    await links.enableForwarding({ ipv4: false, ipv6: true });
  }
}

async function abandon(context: NetworkContext, record: NetworkRecord): Promise<void> {
  context.registry.removeNetwork(record.id);
  const link = ownLink(record);
  try {
    if (link !== "") await context.links.removeLink(link);
    if (record.driver === "bridge") await context.rules.rewrite();
  } catch (error) {
    context.logger.error({ err: error, network: record.id }, "network could not be taken back");
  }
}

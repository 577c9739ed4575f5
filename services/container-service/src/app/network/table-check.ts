/** Whether the table in the kernel still is what was written: by counting, which finds what others flush. */
import { formatAddress } from "../../domain/network/address.ts";
import {
  type BridgeRules,
  countRules,
  directSets,
  mapName,
  type RedirectedPort,
} from "../../domain/network/ruleset.ts";
import type { TableListing } from "../../ports/network-host.ts";

/** Identity of a redirected port, with its target. */
export function redirectKey(port: RedirectedPort): string {
  const host = port.hostAddress === undefined ? "*" : formatAddress(port.hostAddress);
  const target = formatAddress(port.containerAddress);
  return `${port.protocol} ${host} ${port.hostPort ?? mapName(port)} ${target} ${port.containerPort}`;
}

/** What is wrong; empty when the table is as it was written. */
export function tableProblems(
  listing: TableListing | undefined,
  bridges: readonly BridgeRules[],
  ports: readonly RedirectedPort[],
): string[] {
  if (listing === undefined) return ["the table is gone"];
  const problems: string[] = [];
  for (const [chain, expected] of countRules(bridges)) {
    const found = listing.rules.get(chain) ?? 0;
    if (found !== expected) problems.push(`chain ${chain}: ${found} rules instead of ${expected}`);
  }
  for (const [name, expected] of expectedElements(bridges, ports)) {
    const found = listing.elements.get(name) ?? 0;
    if (found !== expected) problems.push(`${name}: ${found} elements instead of ${expected}`);
  }
  return problems;
}

function expectedElements(
  bridges: readonly BridgeRules[],
  ports: readonly RedirectedPort[],
): Map<string, number> {
  const counts = new Map([
    ["bridges", bridges.length],
    ["internal", bridges.filter((bridge) => bridge.internal).length],
    ["bare", bridges.filter((bridge) => !bridge.masquerade).length],
    ["neighbours", bridges.filter((bridge) => bridge.interContainer).length],
    ["dnat4any", 0],
    ["dnat4one", 0],
    ["dnat6any", 0],
    ["dnat6one", 0],
    ["direct4", 0],
    ["direct6", 0],
    ["trusted4", 0],
    ["trusted6", 0],
  ]);
  for (const { name, members } of directSets(bridges)) counts.set(name, members.length);
  for (const port of ports) counts.set(mapName(port), (counts.get(mapName(port)) ?? 0) + 1);
  return counts;
}

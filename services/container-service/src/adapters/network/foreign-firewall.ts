/**
 * Other engines' FORWARD chain. A dockerd on the host sets its policy to drop, and no rule in a table of
 * ours can overrule that: so our bridges get accepts in DOCKER-USER, the chain that is kept for users, or in
 * FORWARD itself. They are told from all others by their comment. What may pass to our bridges is decided in
 * our own table, whose drops are final.
 */
import type { Logger } from "@gantry/logging";
import type { ForeignFirewall } from "../../ports/network-host.ts";
import { type FilterChain, parseFilterTable } from "./nft-filter-table.ts";
import type { NftProgram } from "./nft-program.ts";

/** What the adapter needs. */
export interface ForeignFirewallOptions {
  readonly nft: NftProgram;
  /** Comment of our rules: the name of our table. */
  readonly tag: string;
  readonly logger: Logger;
}

const families = ["ip", "ip6"] as const;

export class NftForeignFirewall implements ForeignFirewall {
  readonly #options: ForeignFirewallOptions;
  /** What is found is changed before anybody looks again. */
  #queue: Promise<void> = Promise.resolve();
  /** Whether the last look found a chain that needs rules of ours, or failed. */
  #isInTheWay = true;

  constructor(options: ForeignFirewallOptions) {
    this.#options = options;
  }

  admit(links: readonly string[]): Promise<void> {
    return this.#inOrder(() => this.#admit(links));
  }

  bridgesChanged(links: readonly string[]): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#isInTheWay) await this.#admit(links);
    });
  }

  withdraw(): Promise<void> {
    return this.#inOrder(() => this.#withdraw());
  }

  #inOrder(run: () => Promise<void>): Promise<void> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #admit(links: readonly string[]): Promise<void> {
    this.#isInTheWay = true;
    const listing = await this.#options.nft.listRuleset();
    const places = [];
    for (const family of families) {
      const chains = parseFilterTable(listing, family, this.#options.tag);
      const place = placeFor(chains);
      if (place !== undefined) places.push(place);
      const commands = [
        ...this.#removals(
          family,
          chains,
          (chain, link) => chain !== place || !links.includes(link),
        ),
        ...this.#insertions(family, chains, place, links),
      ];
      if (commands.length === 0) continue;
      this.#options.logger.info(
        { family, chain: place, links },
        "admitting our bridges past other rules",
      );
      await this.#options.nft.apply(`${commands.join("\n")}\n`);
    }
    this.#isInTheWay = places.length > 0;
  }

  async #withdraw(): Promise<void> {
    const listing = await this.#options.nft.listRuleset();
    for (const family of families) {
      const chains = parseFilterTable(listing, family, this.#options.tag);
      const commands = this.#removals(family, chains, () => true);
      if (commands.length > 0) await this.#options.nft.apply(`${commands.join("\n")}\n`);
    }
  }

  #removals(
    family: string,
    chains: readonly FilterChain[],
    isUnwanted: (chain: string, link: string) => boolean,
  ): string[] {
    return chains.flatMap((chain) =>
      chain.ours
        .filter(({ link }) => isUnwanted(chain.name, link))
        .map(({ handle }) => `delete rule ${family} filter ${chain.name} handle ${handle}`),
    );
  }

  #insertions(
    family: string,
    chains: readonly FilterChain[],
    place: string | undefined,
    links: readonly string[],
  ): string[] {
    if (place === undefined) return [];
    const ours = chains.find((chain) => chain.name === place)?.ours ?? [];
    const has = (link: string, direction: string): boolean =>
      ours.some((rule) => rule.link === link && rule.direction === direction);
    return links.flatMap((link) =>
      ["iifname", "oifname"]
        .filter((direction) => !has(link, direction))
        .map(
          (direction) =>
            `insert rule ${family} filter ${place} ${direction} "${link}" counter accept comment "${this.#options.tag}"`,
        ),
    );
  }
}

/** Undefined when nothing is dropped there. */
function placeFor(chains: readonly FilterChain[]): string | undefined {
  const forward = chains.find((chain) => chain.name === "FORWARD");
  if (forward === undefined) return undefined;
  const user = chains.find((chain) => chain.name === "DOCKER-USER");
  if (user !== undefined && forward.jumpsTo.includes("DOCKER-USER")) return user.name;
  return forward.policy === "drop" ? forward.name : undefined;
}

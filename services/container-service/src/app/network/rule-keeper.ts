/**
 * Keeps our table as it should be: knows the ports and bridges that must be there, writes differences in
 * one transaction, joins what comes in meanwhile, and puts the table back when others have flushed it.
 */
import { sharedWork } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { portElements } from "../../domain/network/port-elements.ts";
import {
  type RedirectedPort,
  type Ruleset,
  renderRemoval,
  renderRuleset,
} from "../../domain/network/ruleset.ts";
import type { PacketFilter, TableListing } from "../../ports/network-host.ts";
import { redirectKey, tableProblems } from "./table-check.ts";

/** What the keeper needs. */
export interface RuleKeeperOptions {
  readonly filter: PacketFilter;
  readonly table: string;
  /** The bridges that must be there now; asked at each complete write. */
  readonly bridges: () => Ruleset["bridges"];
  /** Bridges of other engines; asked at each complete write. */
  readonly foreignBridges: () => Promise<readonly string[]>;
  readonly logger: Logger;
}

export class RuleKeeper {
  readonly #options: RuleKeeperOptions;
  /** What must be there. */
  readonly #wanted = new Map<string, RedirectedPort>();
  /** What was written last. */
  #written = new Map<string, RedirectedPort>();
  /** The whole table has to be written (first write, changed bridges, a write that failed). */
  #stale = true;
  /** How many writes have begun. */
  #writes = 0;
  /** One write at a time; all that come in during one share the next. */
  readonly #flushed = sharedWork(() => this.#flush());

  constructor(options: RuleKeeperOptions) {
    this.#options = options;
  }

  /** Resolves when the kernel has it. Errors: internal. */
  change(added: readonly RedirectedPort[], removed: readonly RedirectedPort[]): Promise<void> {
    for (const port of removed) this.#wanted.delete(redirectKey(port));
    for (const port of added) this.#wanted.set(redirectKey(port), port);
    return this.#flushed();
  }

  /** Bridges have changed: writes the table anew. Resolves when the kernel has it. Errors: internal. */
  rewrite(): Promise<void> {
    this.#stale = true;
    return this.#flushed();
  }

  /** Removes the table. Nothing is written before the next change. Errors: internal. */
  async remove(): Promise<void> {
    await this.#flushed.settled();
    this.#wanted.clear();
    this.#written.clear();
    this.#stale = true;
    await this.#options.filter.apply(renderRemoval(this.#options.table));
  }

  /** Compares the kernel's table with what was written, and writes it anew when it differs. */
  async verify(): Promise<void> {
    let listing: TableListing | undefined;
    let writes: number;
    do {
      await this.#flushed.settled();
      if (this.#stale) return;
      writes = this.#writes;
      listing = await this.#options.filter.readTable(this.#options.table);
      // It was removed meanwhile.
      if (this.#stale) return;
      // A listing from the midst of our own writes says nothing.
    } while (this.#writes !== writes);
    const problems = tableProblems(listing, this.#options.bridges(), [...this.#written.values()]);
    if (problems.length === 0) return;
    this.#options.logger.warn({ problems }, "rules were changed by others: putting them back");
    await this.rewrite();
  }

  async #flush(): Promise<void> {
    this.#writes += 1;
    const wanted = new Map(this.#wanted);
    if (!this.#stale && this.#writeDifference(wanted)) return;
    this.#stale = false;
    try {
      await this.#options.filter.apply(await this.#wholeTable([...wanted.values()]));
    } catch (error) {
      this.#stale = true;
      throw error;
    }
    this.#written = wanted;
  }

  /** False: it could not be done, the whole table has to be written. */
  #writeDifference(wanted: Map<string, RedirectedPort>): boolean {
    const added = [...wanted].filter(([key]) => !this.#written.has(key)).map(([, port]) => port);
    const removed = [...this.#written].filter(([key]) => !wanted.has(key)).map(([, port]) => port);
    const changes = portElements(added, removed);
    if (changes.length === 0) return true;
    try {
      this.#options.filter.changeElements(this.#options.table, changes);
      this.#written = wanted;
      return true;
    } catch (error) {
      this.#options.logger.warn({ err: error }, "rules cannot be changed: writing them anew");
      return false;
    }
  }

  async #wholeTable(ports: readonly RedirectedPort[]): Promise<string> {
    return renderRuleset({
      table: this.#options.table,
      bridges: this.#options.bridges(),
      ports,
      foreignBridges: await this.#options.foreignBridges(),
    });
  }
}

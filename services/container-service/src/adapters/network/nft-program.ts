/** The packet filter: rules by the program nft, one process per transaction; elements of maps without one. */
import { spawn } from "node:child_process";
import { internal, toEngineError } from "@gantry/errors";
import type { NftablesKernel } from "@gantry/native";
import type { PortElements } from "../../domain/network/port-elements.ts";
import type { Held, PacketFilter, TableListing } from "../../ports/network-host.ts";
import { parseTableListing } from "./nft-json.ts";

/** What the adapter needs. */
export interface NftOptions {
  /** Default `nft`, found on PATH. */
  readonly program?: string;
  readonly kernel: NftablesKernel;
}

/** Own processes that are remembered, to tell our changes from others'. */
const rememberedProcesses = 256;
/** Changes by others come in bursts: wait for their end, but not for ever. */
const quietMs = 300;
const longestDelayMs = 1500;

const cleanEnvironment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

export class NftProgram implements PacketFilter {
  readonly #program: string;
  readonly #kernel: NftablesKernel;
  readonly #own = new Set<number>();
  #listing: Promise<string> | undefined;

  constructor(options: NftOptions) {
    this.#program = options.program ?? "nft";
    this.#kernel = options.kernel;
  }

  async apply(commands: string): Promise<void> {
    const { exitCode, error } = await this.#run(["-f", "-"], commands);
    if (exitCode !== 0) throw internal(`nft: ${firstLine(error)}`, { cause: new Error(error) });
  }

  changeElements(table: string, changes: readonly PortElements[]): void {
    try {
      this.#kernel.changeElements(table, changes);
    } catch (error) {
      throw internal(`nftables: ${toEngineError(error).message}`, { cause: error });
    }
  }

  async readTable(table: string): Promise<TableListing | undefined> {
    return parseTableListing(await this.listRuleset(), table);
  }

  /** The whole ruleset in nft's JSON, with handles. Those who ask meanwhile share the answer. */
  listRuleset(): Promise<string> {
    this.#listing ??= this.#readRuleset().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  async #readRuleset(): Promise<string> {
    const { exitCode, output, error } = await this.#run(["-j", "-a", "list", "ruleset"], "");
    if (exitCode !== 0) throw internal(`nft: ${firstLine(error)}`);
    return output;
  }

  watch(onForeignChange: () => void): Held {
    let timer: NodeJS.Timeout | undefined;
    let firstAtMs = 0;
    const tell = (): void => {
      timer = undefined;
      onForeignChange();
    };
    const watch = this.#kernel.watchRuleset((change) => {
      if (!change.lost && this.#isOwn(change.processId)) return;
      const nowMs = performance.now();
      if (timer === undefined) firstAtMs = nowMs;
      clearTimeout(timer);
      timer = setTimeout(tell, Math.max(0, Math.min(quietMs, firstAtMs + longestDelayMs - nowMs)));
    });
    return {
      close() {
        clearTimeout(timer);
        watch.close();
      },
    };
  }

  #run(
    args: readonly string[],
    input: string,
  ): Promise<{ exitCode: number; output: string; error: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#program, args, { env: cleanEnvironment, stdio: "pipe" });
      if (child.pid !== undefined) this.#remember(child.pid);
      let output = "";
      let error = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => (error += chunk));
      child.on("error", (cause) => {
        reject(internal(`run ${this.#program}: ${cause.message}`, { cause }));
      });
      child.on("close", (code) => {
        resolve({ exitCode: code ?? -1, output, error });
      });
      // It may end before it has read everything: its exit code says why.
      child.stdin.on("error", () => undefined);
      child.stdin.end(input);
    });
  }

  #isOwn(pid: number): boolean {
    return pid === process.pid || this.#own.has(pid);
  }

  #remember(pid: number): void {
    this.#own.add(pid);
    if (this.#own.size <= rememberedProcesses) return;
    for (const oldest of this.#own) {
      this.#own.delete(oldest);
      return;
    }
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

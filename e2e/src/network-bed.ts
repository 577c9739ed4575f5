/** Where tests of networks run: an engine, a machine outside, and what they ask again and again. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, afterEach, before } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { NetworkPlace, Outside } from "./network-place.ts";

/** What the engine has put into the kernel. */
interface KernelState {
  readonly links: readonly string[];
  readonly rules: string;
}

/** The engine and the machine outside are there while tests run. */
export interface NetworkBed {
  readonly engine: TestEngine;
  readonly outside: Outside;
  kernelState(): KernelState;
  docker(...args: readonly string[]): Promise<string>;
  /** The error of a command that has to fail. */
  refusal(...args: readonly string[]): Promise<string>;
  sleeper(name: string, ...args: readonly string[]): Promise<void>;
  /** A container whose page at port 80 is its name. */
  web(name: string, ...args: readonly string[]): Promise<void>;
  placeOf(name: string): Promise<NetworkPlace>;
  addressOf(name: string, network: string, field?: string): Promise<string>;
  /** Addresses that a container finds for a name, by asking its server. */
  lookup(container: string, name: string, type?: string): Promise<string[]>;
}

/** Sets a test file up. After each test the machine is as it was: links, rules, networks. */
export function useNetworkBed(): NetworkBed {
  const bed = new Bed();
  before(() => bed.open());
  afterEach(() => bed.clear());
  after(() => bed.close());
  return bed;
}

class Bed implements NetworkBed {
  #open: { engine: TestEngine; outside: Outside; atStart: KernelState } | undefined;

  async open(): Promise<void> {
    const engine = await TestEngine.start();
    this.#open = { engine, outside: await Outside.open(), atStart: kernelStateOf(engine) };
  }

  async close(): Promise<void> {
    await this.outside[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
  }

  async clear(): Promise<void> {
    const containers = await this.docker("ps", "-aq");
    if (containers !== "") await this.docker("rm", "-f", "-v", ...containers.split("\n"));
    await this.docker("network", "prune", "-f");
    await untilPasses(() => {
      assert.deepEqual(this.kernelState(), this.#parts.atStart);
    });
  }

  get #parts() {
    if (this.#open === undefined) throw new Error("there is an engine only while tests run");
    return this.#open;
  }

  get engine(): TestEngine {
    return this.#parts.engine;
  }

  get outside(): Outside {
    return this.#parts.outside;
  }

  readonly kernelState = (): KernelState => kernelStateOf(this.engine);

  readonly docker = (...args: readonly string[]): Promise<string> => this.engine.docker(args);

  readonly refusal = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await this.engine.tryDocker(args);
    assert.notEqual(code, 0, `docker ${args.join(" ")} did not fail`);
    return stderr.trim();
  };

  readonly sleeper = async (name: string, ...args: readonly string[]): Promise<void> => {
    await this.docker("run", "-d", "--name", name, ...args, "busybox", "sleep", "100000");
  };

  readonly web = async (name: string, ...args: readonly string[]): Promise<void> => {
    const script = `mkdir /www && echo ${name} > /www/index.html && exec httpd -f -p 80 -h /www`;
    await this.docker("run", "-d", "--name", name, ...args, "busybox", "sh", "-c", script);
    await untilPasses(async () => {
      assert.equal(await this.docker("exec", name, "wget", "-q", "-O-", "http://127.0.0.1/"), name);
    });
  };

  readonly placeOf = async (name: string): Promise<NetworkPlace> =>
    new NetworkPlace(Number(await this.docker("inspect", "-f", "{{.State.Pid}}", name)));

  readonly addressOf = async (
    name: string,
    network: string,
    field = "IPAddress",
  ): Promise<string> => {
    const format = `{{(index .NetworkSettings.Networks "${network}").${field}}}`;
    return await this.docker("inspect", "-f", format, name);
  };

  readonly lookup = async (container: string, name: string, type = "a"): Promise<string[]> => {
    const { stdout } = await this.engine.tryDocker([
      ...["exec", container, "nslookup", `-type=${type}`, name],
    ]);
    const answers = stdout.split("\n").slice(3);
    return answers
      .flatMap(
        (line) => /^Address:\s+(\S+)$/.exec(line)?.[1] ?? /name = (\S+)$/.exec(line)?.[1] ?? [],
      )
      .toSorted();
  };
}

function kernelStateOf(engine: TestEngine): KernelState {
  const { linkPrefix, nftTable } = engine.kernelNames;
  const links = JSON.parse(execFileSync("ip", ["-j", "link"], { encoding: "utf8" })) as {
    ifname: string;
  }[];
  return {
    links: links
      .map(({ ifname }) => ifname)
      .filter((name) => name.startsWith(linkPrefix))
      .toSorted(),
    rules: execFileSync("nft", ["-s", "list", "table", "inet", nftTable], { encoding: "utf8" }),
  };
}

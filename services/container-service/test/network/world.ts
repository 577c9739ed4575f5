/**
 * A small world for tests of networks, in the network namespace of this process (which the tests make private):
 * the engine's networking over the real kernel, nft and relay; containers that are only network namespaces; and a
 * neighbour outside, 10.99.0.2, to whom the host is 10.99.0.1.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { notFound } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import { loadKernel, nativeArtifact } from "@gantry/native";
import type { BridgeNetworking } from "../../src/app/network/bridge-networking.ts";
import type { NewNetwork } from "../../src/app/network/new-network.ts";
import { createNetworking } from "../../src/compose-networking.ts";
import type { NewEvent } from "../../src/ports/metadata.ts";
import type {
  EndpointRequest,
  FoundContainer,
  PreparedNetwork,
} from "../../src/ports/networking.ts";
import { MemoryStore } from "../memory-store.ts";
import { ask, brieflyMs, type PeerOrder, type Protocol } from "./peer.ts";
import { ToldNames } from "./told-names.ts";

const kernel = loadKernel();
const peerProgram = path.join(import.meta.dirname, "peer.ts");

/** What a test says of a container. */
export interface ContainerChoice {
  readonly network?: string;
  /** `8080:80/tcp`, `127.0.0.1:8080:80/tcp`. */
  readonly publish?: readonly string[];
  readonly endpoint?: Partial<EndpointRequest>;
  readonly hostname?: string;
  readonly links?: readonly string[];
  readonly extraHosts?: readonly string[];
}

type MutableContainer = { -readonly [Key in keyof FoundContainer]: FoundContainer[Key] };

/** A network namespace with a process in it, which asks and answers when it is told to. */
export class Place {
  readonly #process: ChildProcess;

  constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async open(): Promise<Place> {
    const child = spawn("unshare", ["-n", process.execPath, peerProgram], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    await once(child, "message");
    return new Place(child);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Runs a program in the namespace and returns what it prints. */
  run(...command: readonly string[]): string {
    const args = ["-n", "-t", String(this.pid), ...command];
    return execFileSync("nsenter", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  }

  async serve(protocol: Protocol, port: number, address = "0.0.0.0"): Promise<void> {
    await this.#order({ verb: "serve", protocol, address, port });
  }

  /** Waits for an answer that is due. */
  ask(protocol: Protocol, address: string, port: number): Promise<string> {
    return this.#order({ verb: "ask", protocol, address, port });
  }

  /** Where none is expected. */
  askBriefly(protocol: Protocol, address: string, port: number): Promise<string> {
    return this.#order({ verb: "ask", protocol, address, port, patienceMs: brieflyMs });
  }

  /** Asks over UDP from one socket per port, and waits so long for the answer. */
  askFlow(address: string, port: number, patienceMs?: number): Promise<string> {
    const patience = patienceMs === undefined ? {} : { patienceMs };
    return this.#order({ verb: "flow", protocol: "udp", address, port, ...patience });
  }

  async #order(order: PeerOrder): Promise<string> {
    this.#process.send(order);
    const [answer] = (await once(this.#process, "message")) as [string];
    return answer;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}

/** A container that runs. */
export class RunningContainer {
  readonly id: string;
  readonly place: Place;
  readonly prepared: PreparedNetwork;
  readonly #world: World;

  constructor(world: World, id: string, place: Place, prepared: PreparedNetwork) {
    this.#world = world;
    this.id = id;
    this.place = place;
    this.prepared = prepared;
  }

  /** Its address in a network. */
  address(network: string): string {
    return this.#world.networking.settings(this.id).networks[network]?.ipAddress ?? "";
  }

  file(name: "hosts" | "resolv.conf" | "hostname"): string {
    return readFileSync(path.join(this.#world.dir, this.id, name), "utf8");
  }

  async stop(): Promise<readonly NewEvent[]> {
    await this.place.close();
    this.#world.setPid(this.id, 0);
    return this.#world.networking.release(this.id);
  }
}

export class World {
  readonly dir: string;
  readonly store = new MemoryStore();
  readonly names = new ToldNames();
  readonly #containers = new Map<string, MutableContainer>();
  readonly #places: Place[] = [];
  networking!: BridgeNetworking;
  outside!: Place;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async open(): Promise<World> {
    const world = new World(mkdtempSync("/tmp/gantry-network-"));
    execFileSync("ip", ["link", "set", "lo", "up"]);
    world.outside = await world.openPlace();
    const ip = (...args: string[]): void => {
      execFileSync("ip", args);
    };
    ip(
      "link",
      "add",
      "out0",
      "type",
      "veth",
      "peer",
      "name",
      "out1",
      "netns",
      String(world.outside.pid),
    );
    ip("addr", "add", "10.99.0.1/24", "dev", "out0");
    ip("addr", "add", "fd99::1/64", "dev", "out0", "nodad");
    ip("link", "set", "out0", "up");
    world.outside.run("ip", "addr", "add", "10.99.0.2/24", "dev", "out1");
    world.outside.run("ip", "addr", "add", "fd99::2/64", "dev", "out1", "nodad");
    world.outside.run("ip", "link", "set", "out1", "up");
    world.outside.run("ip", "route", "add", "172.16.0.0/12", "via", "10.99.0.1");
    await world.restart();
    return world;
  }

  async openPlace(): Promise<Place> {
    const place = await Place.open();
    this.#places.push(place);
    return place;
  }

  /** A new service over the same records, as after kill -9 of the old one. */
  async restart(): Promise<void> {
    await this.networking?.close();
    this.networking = await createNetworking({
      options: {
        linkPrefix: "gtryt",
        table: "gantry_t",
        interContainer: true,
        ipMasquerade: true,
        ipForward: true,
        ipv6: false,
        defaultHostAddress: "0.0.0.0",
        defaultAddressPools: [{ base: "172.16.0.0/12", size: 16 }],
        dns: [],
        dnsSearch: [],
        dnsOptions: [],
        hostGatewayAddresses: [],
        uniqueLocalSeed: 1n,
      },
      kernel,
      store: this.store,
      directory: {
        find: (reference) => this.#find(reference),
        byId: (id) => this.#containers.get(id),
        exclusively: (_, run) => run(),
      },
      folders: {
        containerDir: (id) => path.join(this.dir, id),
      },
      nameServers: {
        update: (id, update) => {
          this.names.tell(id, update);
          return Promise.resolve();
        },
      },
      relayProgram: nativeArtifact("relay"),
      relaySocketPath: path.join(this.dir, "relay.sock"),
      logger: silentLogger(),
    });
    await this.networking.open();
    const live = [...this.#containers.values()]
      .filter(({ pid }) => pid > 0)
      .map((container) => ({ container, pid: container.pid }));
    await this.networking.reconcile(live, new Set(this.#containers.keys()));
  }

  #find(reference: string): FoundContainer {
    const found =
      this.#containers.get(reference) ??
      [...this.#containers.values()].find(({ name }) => name === reference);
    if (found === undefined) throw notFound("container", reference);
    return found;
  }

  setPid(id: string, pid: number): void {
    const container = this.#containers.get(id);
    if (container !== undefined) container.pid = pid;
  }

  /** Declares a container; returns its ID. */
  declare(name: string, choice: ContainerChoice = {}): string {
    const id = randomBytes(32).toString("hex");
    mkdirSync(path.join(this.dir, id));
    const network = choice.network ?? "bridge";
    const container: MutableContainer = {
      id,
      name,
      pid: 0,
      removing: false,
      config: {
        hostname: choice.hostname ?? "",
        domainname: "",
        exposedPorts: (choice.publish ?? []).map(toBinding).map(({ port }) => port),
        networkDisabled: false,
        macAddress: "",
      },
      hostConfig: {
        networkMode: network,
        portBindings: (choice.publish ?? []).map(toBinding),
        publishAllPorts: false,
        utsMode: "",
        sysctls: {},
        privileged: false,
        links: { values: choice.links ?? [] },
        extraHosts: { values: choice.extraHosts ?? [] },
      },
    };
    this.#containers.set(id, container);
    const wish = { links: [], aliases: [], driverOpts: {}, gwPriority: 0, macAddress: "" };
    const endpoints =
      choice.endpoint === undefined ? {} : { [network]: { ...wish, ...choice.endpoint } };
    this.networking.declare(container, endpoints);
    return id;
  }

  /** Starts a declared container: its interfaces are made as the shim would. */
  async start(id: string): Promise<RunningContainer> {
    const container = this.#find(id);
    const prepared = await this.networking.prepareStart(container, new AbortController().signal);
    const place = await this.openPlace();
    place.run("ip", "link", "set", "lo", "up");
    for (const plan of prepared.interfaces) await kernel.attachInterface(place.pid, plan);
    this.setPid(id, place.pid);
    this.networking.launched(id, place.pid);
    return new RunningContainer(this, id, place, prepared);
  }

  run(name: string, choice: ContainerChoice = {}): Promise<RunningContainer> {
    return this.start(this.declare(name, choice));
  }

  async createNetwork(name: string, rest: Partial<NewNetwork> = {}): Promise<void> {
    await this.networking.create({
      name,
      driver: "",
      scope: "",
      enableIpv4: true,
      enableIpv6: false,
      ipam: { driver: "", options: {}, config: [] },
      internal: false,
      attachable: false,
      ingress: false,
      configOnly: false,
      configFrom: "",
      options: {},
      labels: {},
      ...rest,
    });
  }

  connect(network: string, container: string, wish: Partial<EndpointRequest> = {}): Promise<void> {
    const nothing = { links: [], aliases: [], driverOpts: {}, gwPriority: 0, macAddress: "" };
    return this.networking.connect(network, container, {
      networkId: "",
      wish: { ...nothing, ...wish },
    });
  }

  /** The process that listens on the relay's socket of this world. */
  relayPid(): number {
    const sockets = execFileSync("ss", ["-xlpH"], { encoding: "utf8" });
    const line = sockets.split("\n").find((text) => text.includes(`${this.dir}/relay.sock`)) ?? "";
    return Number(/pid=(\d+)/.exec(line)?.[1]);
  }

  /** Asks from the host itself. */
  ask(protocol: Protocol, address: string, port: number): Promise<string> {
    return ask(protocol, address, port);
  }

  async close(): Promise<void> {
    for (const place of this.#places.slice(1)) await place.close();
    await this.networking.teardownHost();
    await this.outside.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function toBinding(text: string): {
  port: string;
  bindings: { hostIp: string; hostPort: string }[];
} {
  const parts = text.split(":");
  const [port = "", hostPort = "", hostIp = ""] = parts.reverse();
  return { port, bindings: [{ hostIp, hostPort }] };
}

/** A container-service in memory: containers whose process is a function over the attached socket. */
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import type net from "node:net";
import { buffer } from "node:stream/consumers";
import { create } from "@bufbuild/protobuf";
import { conflict, invalidArgument, notFound, notModified } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import {
  type Container,
  ContainerSchema,
  ContainerService,
  type CreateContainerRequest,
  type CreateExecRequest,
  ExecService,
} from "@gantry/proto/container";
import { type Network } from "@gantry/proto/network";
import { type Volume } from "@gantry/proto/volume";
import {
  type DataListener,
  type Implementation,
  implement,
  openDataListener,
  serveGrpc,
} from "@gantry/rpc";
import { onHangup } from "../../src/http/hijack/hangup.ts";
import { type EventInit, fakeEvents } from "./event-service.ts";
import { fakeNetworks } from "./network-service.ts";
import type { Seen } from "./seen.ts";
import { fakeSystem } from "./system-service.ts";
import { fakeVolumes } from "./volume-service.ts";

/** A frame of Docker's multiplexed stream. */
export function frame(stream: 1 | 2, text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}

/** What an attached process does with its streams; resolves with the exit code. */
export type Program = (socket: net.Socket, container: Container) => Promise<number>;

/** The fake. */
export class FakeContainerService implements AsyncDisposable {
  readonly containers = new Map<string, Container>();
  readonly networks = new Map<string, Network>();
  readonly volumes = new Map<string, Volume>();
  readonly execs = new Map<string, CreateExecRequest>();
  readonly startedExecs = new Set<string>();
  readonly exits = new EventEmitter();
  readonly seen: Seen[] = [];
  readonly events: EventInit[] = [];
  readonly eventAdded = new EventEmitter();
  readonly uploads: Buffer[] = [];
  /** What programs do, by first word of the command. */
  readonly programs = new Map<string, Program>();
  /** Execs are recorded as ended when this resolves. */
  execRecorded: Promise<unknown> = Promise.resolve();
  /** Streams that are open now. */
  openStreams = 0;
  readonly #stop: (() => Promise<void>)[] = [];
  #data!: DataListener;

  static async start(socketPath: string, dataPath: string): Promise<FakeContainerService> {
    const fake = new FakeContainerService();
    fake.exits.setMaxListeners(0);
    fake.eventAdded.setMaxListeners(0);
    await fake.listen(socketPath, dataPath);
    return fake;
  }

  async listen(socketPath: string, dataPath: string): Promise<void> {
    this.#data = await openDataListener({ socketPath: dataPath, logger: silentLogger() });
    const server = await serveGrpc({
      socketPath,
      services: this.services(),
      logger: silentLogger(),
    });
    this.#stop.push(
      () => server.close(0),
      () => this.#data.close(),
    );
  }

  async stop(): Promise<void> {
    for (const stop of this.#stop.splice(0)) await stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  addEvent(event: EventInit): void {
    this.events.push({
      ...event,
      service: "container-service",
      seq: BigInt(this.events.length + 1),
    });
    this.eventAdded.emit("added");
  }

  services(): Implementation[] {
    return [
      this.container(),
      this.exec(),
      fakeSystem(this.containers),
      fakeNetworks(this.networks, this.seen),
      fakeVolumes(this.volumes, this.seen),
      fakeEvents(this.events, this.eventAdded, "container-service"),
    ];
  }

  find(name: string): Container {
    const plain = name.replace(/^\//, "");
    for (const each of this.containers.values()) {
      if (each.id === plain || each.name === plain || each.id.startsWith(plain)) return each;
    }
    throw notFound("container", name);
  }

  private create(request: CreateContainerRequest): Container {
    if (request.config?.image === "missing") throw notFound("image", "missing:latest");
    const id = randomBytes(32).toString("hex");
    const command = request.config?.cmd?.values ?? [];
    const container = create(ContainerSchema, {
      id,
      name: request.name === "" ? `fake_${id.slice(0, 6)}` : request.name,
      createdNano: BigInt(Date.now()) * 1_000_000n,
      path: command[0] ?? "",
      args: command.slice(1),
      imageId: `sha256:${"a".repeat(64)}`,
      imageDisplay: request.config?.image ?? "",
      platform: "linux",
      config: request.config!,
      hostConfig: request.hostConfig ?? {},
      state: { status: "created" },
      networkSettings: {
        ports: [{ port: "80/tcp", bindings: [{ hostIp: "0.0.0.0", hostPort: "8080" }] }],
        networks: {
          bridge: {
            networkId: "n1",
            endpointId: "e1",
            ipAddress: "172.17.0.2",
            ipPrefixLen: 16,
            gateway: "172.17.0.1",
            macAddress: "02:42:ac:11:00:02",
          },
        },
      },
      mounts: [],
    });
    this.containers.set(id, container);
    return container;
  }

  /** Resolvers of containers that wait for their start, with their attached sockets. */
  private readonly attached = new Map<string, net.Socket[]>();

  /**
   * IDs of containers whose run ends between an attach and its connection, and whether they are removed, too;
   * `over`: it ends in the middle of the attach.
   */
  readonly vanishing = new Map<string, "ended" | "removed" | "over">();

  /** ID of an exec's container. */
  containerOf(execId: string): string {
    const exec = this.execs.get(execId);
    if (exec === undefined) throw notFound("exec", execId);
    return this.find(exec.container).id;
  }

  private container(): Implementation {
    const self = this;
    const note = (method: string, request: unknown): void => {
      this.seen.push({ method, request });
    };
    return implement(ContainerService, {
      createContainer: (request) => {
        note("createContainer", request);
        const { id } = this.create(request);
        return Promise.resolve({ id, warnings: [] });
      },
      startContainer: (request) => {
        note("startContainer", request);
        const container = this.find(request.container);
        if (container.state?.running) throw notModified("already running");
        this.run(container);
        return Promise.resolve({});
      },
      stopContainer: (request) => {
        note("stopContainer", request);
        const container = this.find(request.container);
        if (!container.state?.running) throw notModified("not running");
        this.exit(container, 143);
        return Promise.resolve({});
      },
      killContainer: (request) => {
        note("killContainer", request);
        const container = this.find(request.container);
        if (!container.state?.running) throw conflict(`container ${container.id} is not running`);
        this.exit(container, 137);
        return Promise.resolve({});
      },
      removeContainer: (request) => {
        note("removeContainer", request);
        const container = this.find(request.container);
        this.containers.delete(container.id);
        this.exits.emit(container.id, container);
        return Promise.resolve({});
      },
      inspectContainer: (request) => Promise.resolve({ container: this.find(request.container) }),
      listContainers: (request) => {
        note("listContainers", request);
        return Promise.resolve({
          containers: [...this.containers.values()].filter(
            (each) => request.all || each.state?.running,
          ),
        });
      },
      async *waitContainer(request, { signal }) {
        note("waitContainer", request);
        const container = self.find(request.container);
        const exited = once(self.exits, container.id, { signal });
        exited.catch(() => undefined);
        yield { done: false };
        if (
          request.condition !== "next-exit" &&
          request.condition !== "removed" &&
          !container.state?.running
        ) {
          yield { done: true, exitCode: container.state?.exitCode ?? 0 };
          return;
        }
        await exited;
        yield { done: true, exitCode: container.state?.exitCode ?? 0 };
      },
      attachContainer: (request) => {
        note("attachContainer", request);
        const container = this.find(request.container);
        if (request.detachKeys === "bad")
          throw invalidArgument("Invalid detach keys (bad) provided");
        const data = this.#data.issue((socket) => this.attach(container, socket));
        const vanishing = this.vanishing.get(container.id);
        if (vanishing === "removed") this.containers.delete(container.id);
        if (vanishing === "over") return Promise.resolve({ tty: false });
        const stream = vanishing === undefined ? data : { ...data, path: `${data.path}.gone` };
        return Promise.resolve({ stream, tty: container.config?.tty ?? false });
      },
      openLogs: (request) => {
        note("openLogs", request);
        const container = this.find(request.container);
        const data = this.#data.issue(async (socket, signal) => {
          socket.write(frame(1, "line 1\n"));
          if (request.follow)
            await new Promise((resolve) => {
              signal.addEventListener("abort", resolve);
            });
        });
        return Promise.resolve({ data, tty: container.config?.tty ?? false });
      },
      async *statsContainer(request, { signal }) {
        note("statsContainer", request);
        const container = self.find(request.container);
        if (self.vanishing.get(container.id) === "removed") return;
        const sample = {
          cgroupVersion: "2",
          readAtNano: 1_700_000_000_000_000_001n,
          cpuTotalNs: 5n,
          pidsLimit: 18446744073709551615n,
          pidsCurrent: 1n,
          onlineCpus: 2,
          systemCpuNs: 100n,
          memoryUsageBytes: 4096n,
          interfaces: [{ name: "eth0", rxBytes: 7n }],
        };
        yield { id: container.id, name: container.name, current: sample };
        if (!request.stream) return;
        yield { id: container.id, name: container.name, current: sample, previous: sample };
        await new Promise((resolve) => {
          signal.addEventListener("abort", resolve);
        });
      },
      async *exportContainer() {
        const finished = Promise.withResolvers<undefined>();
        yield {
          data: self.#data.issue((socket) => {
            socket.write("tar bytes");
            finished.resolve(undefined);
            return Promise.resolve();
          }),
        };
        await finished.promise;
      },
      statPath: (request) => {
        if (request.path !== "/etc/passwd")
          throw notFound(
            "path",
            request.path,
            `Could not find the file ${request.path} in container ${request.container}`,
          );
        return Promise.resolve({
          stat: {
            name: "passwd",
            sizeBytes: 12n,
            mode: 0o100644,
            mtimeNano: 1_700_000_000_000_000_000n,
          },
        });
      },
      async *getArchive() {
        const finished = Promise.withResolvers<undefined>();
        yield {
          stat: { name: "etc", sizeBytes: 4096n, mode: 0o40755, mtimeNano: 0n },
          data: self.#data.issue((socket) => {
            socket.write("archive");
            finished.resolve(undefined);
            return Promise.resolve();
          }),
        };
        await finished.promise;
      },
      async *putArchive(request) {
        note("putArchive", request);
        if (request.path === "/file") throw invalidArgument("extraction point is not a directory");
        const received = Promise.withResolvers<Buffer>();
        yield {
          data: self.#data.issue(async (socket) => {
            received.resolve(await buffer(socket.iterator({ destroyOnReturn: false })));
          }),
        };
        self.uploads.push(await received.promise);
      },
      topContainer: () =>
        Promise.resolve({ titles: ["UID", "PID"], processes: [{ values: ["root", "1"] }] }),
      updateContainer: (request) => {
        note("updateContainer", request);
        return Promise.resolve({ warnings: [] });
      },
      renameContainer: () => Promise.resolve({}),
      resizeContainer: (request) => {
        note("resizeContainer", request);
        return Promise.resolve({});
      },
      pruneContainers: (request) => {
        note("pruneContainers", request);
        return Promise.resolve({ deleted: [], spaceReclaimedBytes: 0n });
      },
      commitContainer: (request) => {
        note("commitContainer", request);
        return Promise.resolve({ imageId: `sha256:${"b".repeat(64)}` });
      },
      listChanges: () => Promise.resolve({ changes: [] }),
    });
  }

  private run(container: Container): void {
    const state = container.state!;
    state.status = "running";
    state.running = true;
    state.startedAtNano = BigInt(Date.now()) * 1_000_000n;
    for (const socket of this.attached.get(container.id) ?? []) this.play(container, socket);
    if (container.path === "exit") this.exit(container, Number(container.args[0] ?? 0));
  }

  /** Ends a container's process. */
  exit(container: Container, code: number): void {
    const state = container.state!;
    state.status = "exited";
    state.running = false;
    state.exitCode = code;
    state.finishedAtNano = BigInt(Date.now()) * 1_000_000n;
    for (const socket of this.attached.get(container.id) ?? []) socket.end();
    this.attached.delete(container.id);
    this.addEvent({
      type: "container",
      action: "die",
      actorId: container.id,
      attributes: { exitCode: String(code) },
      timeNano: BigInt(Date.now()) * 1_000_000n,
    });
    this.exits.emit(container.id, container);
    if (container.hostConfig?.autoRemove) this.containers.delete(container.id);
  }

  private async attach(container: Container, socket: net.Socket): Promise<void> {
    this.openStreams++;
    socket.once("close", () => {
      this.openStreams--;
    });
    this.attached.set(container.id, [...(this.attached.get(container.id) ?? []), socket]);
    if (container.state?.running) this.play(container, socket);
    socket.once("end", () => {
      // As the shim's epoll does.
      onHangup(socket, () => {
        socket.destroy();
      });
    });
    await once(socket, "close");
  }

  private play(container: Container, socket: net.Socket): void {
    const program = this.programs.get(container.path);
    if (program === undefined) return;
    void program(socket, container).then((code) => {
      socket.end();
      if (container.state?.running) this.exit(container, code);
    });
  }

  private exec(): Implementation {
    return implement(ExecService, {
      createExec: (request) => {
        this.seen.push({ method: "createExec", request });
        this.find(request.container);
        const execId = randomBytes(32).toString("hex");
        this.execs.set(execId, request);
        return Promise.resolve({ execId });
      },
      startExec: (request) => {
        this.seen.push({ method: "startExec", request });
        const exec = this.execs.get(request.execId);
        if (exec === undefined) throw notFound("exec", request.execId);
        if (this.startedExecs.has(request.execId))
          throw conflict(`exec command ${request.execId} is already running`);
        this.startedExecs.add(request.execId);
        if (request.detach) return Promise.resolve({});
        const container = this.find(exec.container);
        const stream = this.#data.issue(async (socket) => {
          const program = this.programs.get(exec.cmd[0] ?? "");
          if (program !== undefined) await program(socket, container);
        });
        const vanishing = this.vanishing.get(container.id);
        if (vanishing === "removed") this.execs.delete(request.execId);
        return Promise.resolve({
          stream: vanishing === undefined ? stream : { ...stream, path: `${stream.path}.gone` },
        });
      },
      inspectExec: (request) => {
        const exec = this.execs.get(request.execId);
        if (exec === undefined) throw notFound("exec", request.execId);
        return Promise.resolve({
          exec: {
            id: request.execId,
            ...(this.startedExecs.has(request.execId) ? { running: true } : { exitCode: 0 }),
            entrypoint: exec.cmd[0] ?? "",
            arguments: exec.cmd.slice(1),
            containerId: this.find(exec.container).id,
          },
        });
      },
      resizeExec: () => Promise.resolve({}),
      waitExec: async ({ execId }) => {
        this.seen.push({ method: "waitExec", request: execId });
        await this.execRecorded;
        return { exitCode: 0 };
      },
    });
  }
}

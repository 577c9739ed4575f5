/** The sending side of fsutil's protocol: a folder of this machine to a client. */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EngineError } from "@gantry/errors";
import { PacketSchema, type StatSchema } from "@gantry/proto/buildkit";
import type { ClientCall } from "../wire/client-call.ts";
import { goModeOf } from "./file-mode.ts";
import { dataPacket, decodePacket, finPacket, type Packet, PacketType } from "./packets.ts";
import type { TransferProgress } from "./receive-tree.ts";

type StatInit = MessageInitShape<typeof StatSchema>;

/** One folder of the tree that is sent. */
export interface SentFolder {
  /** Absolute path here. */
  readonly root: string;
  /** Folder at the client that it is put in; empty: the destination itself. */
  readonly prefix: string;
}

/** Content of one packet, as other implementations send it. */
const chunkBytes = 32 * 1024;

/** Files read at once. */
const maxReaders = 4;

/** Sends folders on a call that was just opened. */
export async function sendTree(
  call: ClientCall,
  folders: readonly SentFolder[],
  onProgress: TransferProgress,
): Promise<void> {
  const sender = new Sender(call, folders, onProgress);
  const received = call.receive((message) => sender.take(decodePacket(message)));
  const sent = sender.sendList().catch((error: unknown) => {
    call.cancel();
    throw error;
  });
  await Promise.all([received, sent]);
}

class Sender {
  readonly #call: ClientCall;
  readonly #folders: readonly SentFolder[];
  readonly #onProgress: TransferProgress;
  /** Absolute paths by ID. */
  readonly #files = new Map<number, string>();
  readonly #requested: number[] = [];
  #readers = 0;
  #count = 0;
  #sentBytes = 0;

  constructor(call: ClientCall, folders: readonly SentFolder[], onProgress: TransferProgress) {
    this.#call = call;
    this.#folders = folders;
    this.#onProgress = onProgress;
  }

  take(packet: Packet): undefined {
    switch (packet.type) {
      case PacketType.PACKET_REQ:
        this.#requested.push(packet.id);
        this.#readMore();
        return;
      case PacketType.PACKET_FIN:
        void this.#call.write(finPacket);
        this.#call.end();
        return;
      case PacketType.PACKET_ERR:
        throw new EngineError(
          "internal",
          `error from receiver: ${new TextDecoder().decode(packet.data)}`,
        );
      default:
        throw new EngineError("internal", `unexpected packet of type ${String(packet.type)}`);
    }
  }

  async sendList(): Promise<void> {
    for (const { root, prefix } of [...this.#folders].sort(byPrefix)) {
      if (prefix !== "") await this.#stat(root, prefix);
      await this.#walk(root, prefix, new Map());
    }
    await this.#call.write(
      toBinary(PacketSchema, create(PacketSchema, { type: PacketType.PACKET_STAT })),
    );
  }

  async #walk(folder: string, prefix: string, inodes: Map<bigint, string>): Promise<void> {
    for (const name of readdirSync(folder, "buffer").sort(Buffer.compare)) {
      const text = name.toString();
      const full = path.join(folder, text);
      const target = prefix === "" ? text : `${prefix}/${text}`;
      const isDirectory = await this.#stat(full, target, inodes);
      if (isDirectory) await this.#walk(full, target, inodes);
    }
  }

  async #stat(full: string, name: string, inodes?: Map<bigint, string>): Promise<boolean> {
    const found = lstatSync(full, { bigint: true });
    const id = this.#count++;
    const earlier = found.isFile() && found.nlink > 1n ? inodes?.get(found.ino) : undefined;
    if (found.isFile() && earlier === undefined) {
      this.#files.set(id, full);
      inodes?.set(found.ino, name);
    }
    const stat: StatInit = {
      path: name,
      mode: goModeOf(Number(found.mode)),
      uid: Number(found.uid),
      gid: Number(found.gid),
      size: found.isFile() && earlier === undefined ? found.size : 0n,
      modTime: found.mtimeNs,
      linkname: found.isSymbolicLink() ? readlinkSync(full) : (earlier ?? ""),
      devmajor: BigInt(major(found.rdev)),
      devminor: BigInt(minor(found.rdev)),
    };
    const packet = create(PacketSchema, { type: PacketType.PACKET_STAT, stat });
    await this.#call.write(toBinary(PacketSchema, packet));
    return found.isDirectory();
  }

  #readMore(): void {
    while (this.#readers < maxReaders) {
      const id = this.#requested.shift();
      if (id === undefined) return;
      this.#readers++;
      this.#send(id).then(
        () => {
          this.#readers--;
          this.#readMore();
        },
        (error: unknown) => {
          this.#call.fail(error);
        },
      );
    }
  }

  async #send(id: number): Promise<void> {
    const file = this.#files.get(id);
    if (file === undefined)
      throw new EngineError("internal", "content of an unknown file was asked for");
    await using handle = await open(file, "r");
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes);
      await this.#call.write(dataPacket(id, buffer.subarray(0, bytesRead)));
      if (bytesRead === 0 || this.#call.isClosed) return;
      this.#sentBytes += bytesRead;
      this.#onProgress(this.#sentBytes);
    }
  }
}

const byPrefix = (a: SentFolder, b: SentFolder): number => (a.prefix < b.prefix ? -1 : 1);

/** Linux's split of a device number. */
const major = (device: bigint): number =>
  Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn));
const minor = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & ~0xffn));

/** The receiving side of fsutil's protocol. */
import { EngineError, invalidArgument } from "@gantry/errors";
import type { ClientCall } from "../wire/client-call.ts";
import { hasContent, parentOf, readEntry, type TreeEntry } from "./entry.ts";
import {
  decodePacket,
  errorPacket,
  finPacket,
  type Packet,
  PacketType,
  requestPacket,
} from "./packets.ts";

/** Where a received tree goes. What it throws ends the transfer. */
export interface TreeTarget {
  /**
   * The next entry: parents come before their children, and every parent is a directory.
   * @returns whether its content is wanted
   */
  entry(entry: TreeEntry): boolean;
  /** The next bytes of an entry's content. */
  content(entry: TreeEntry, bytes: Uint8Array): void;
  /** An entry's content is complete. */
  contentEnd(entry: TreeEntry): void;
  /** All is there. */
  complete(): Promise<void>;
}

/** How much has come, with what the protocol adds. */
export type TransferProgress = (receivedBytes: number) => void;

/** Runs a transfer on a call that was just opened. Throws what the peer says, or what the target throws. */
export async function receiveTree(
  call: ClientCall,
  target: TreeTarget,
  onProgress: TransferProgress,
): Promise<void> {
  const transfer = new Transfer(call, target);
  try {
    let receivedBytes = 0;
    await call.receive((message) => {
      receivedBytes += message.length;
      onProgress(receivedBytes);
      return transfer.take(decodePacket(message));
    });
  } catch (error) {
    throw transfer.failure ?? error;
  }
  if (!transfer.isComplete) {
    throw new EngineError("unavailable", "the client ended the transfer before its end");
  }
}

class Transfer {
  readonly #call: ClientCall;
  readonly #target: TreeTarget;
  readonly #directories = new Set([""]);
  readonly #paths = new Set<string>();
  readonly #wanted = new Map<number, TreeEntry>();
  #count = 0;
  #listed = false;
  #finished = false;
  isComplete = false;
  failure: unknown;

  constructor(call: ClientCall, target: TreeTarget) {
    this.#call = call;
    this.#target = target;
  }

  /** Takes a packet. The promise is there when the next one must wait. */
  take(packet: Packet): Promise<void> | undefined {
    try {
      return this.#take(packet)?.catch((error: unknown) => this.#fail(error));
    } catch (error) {
      return this.#fail(error);
    }
  }

  async #fail(error: unknown): Promise<void> {
    this.failure = error;
    await this.#call.write(errorPacket(error instanceof Error ? error.message : String(error)));
    this.#call.cancel();
  }

  #take(packet: Packet): Promise<void> | undefined {
    switch (packet.type) {
      case PacketType.PACKET_STAT:
        return this.#stat(packet);
      case PacketType.PACKET_DATA:
        return this.#data(packet);
      case PacketType.PACKET_FIN:
        this.isComplete = this.#finished;
        this.#call.end();
        return undefined;
      case PacketType.PACKET_ERR:
        throw new EngineError(
          "internal",
          `error from sender: ${new TextDecoder().decode(packet.data)}`,
        );
      default:
        throw invalidArgument(`unexpected packet of type ${String(packet.type)} in transfer`);
    }
  }

  #stat({ stat }: Packet): Promise<void> | undefined {
    if (stat === undefined) {
      this.#listed = true;
      return this.#finishIfDone();
    }
    const entry = readEntry(stat);
    const id = this.#count++;
    this.#check(entry);
    if (this.#target.entry(entry) && hasContent(entry)) {
      this.#wanted.set(id, entry);
      return this.#call.write(requestPacket(id));
    }
    return undefined;
  }

  #check({ path, kind }: TreeEntry): void {
    if (this.#listed) throw invalidArgument("entry after the end of the list");
    if (this.#paths.has(path)) throw invalidArgument(`${path} was sent twice`);
    if (!this.#directories.has(parentOf(path))) {
      throw invalidArgument(`${path} was sent before its directory`);
    }
    this.#paths.add(path);
    if (kind === "directory") this.#directories.add(path);
  }

  #data({ id, data }: Packet): Promise<void> | undefined {
    const entry = this.#wanted.get(id);
    if (entry === undefined) throw invalidArgument("content that was not asked for");
    if (data.length > 0) {
      this.#target.content(entry, data);
      return undefined;
    }
    this.#wanted.delete(id);
    this.#target.contentEnd(entry);
    return this.#finishIfDone();
  }

  #finishIfDone(): Promise<void> | undefined {
    if (!this.#listed || this.#wanted.size > 0 || this.#finished) return undefined;
    this.#finished = true;
    return this.#finish();
  }

  async #finish(): Promise<void> {
    await this.#target.complete();
    await this.#call.write(finPacket);
  }
}

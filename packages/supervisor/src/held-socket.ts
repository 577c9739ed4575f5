/**
 * A listening socket that outlives the programs which serve it, one after the other: its file stays the same one, also
 * inside a container that has it mounted, and who connects between two of them waits instead of being refused.
 * The program gets it as systemd hands over the socket of a socket unit (sd_listen_fds(3)).
 */
import { type DescriptorKernel, loadKernel } from "@gantry/native";
import { placeSocket, removeSocket, type SocketAccess, socketInode } from "@gantry/rpc";

/** As many clients may wait. */
const backlog = 4096;

export class HeldSocket {
  readonly #path: string;
  readonly #access: SocketAccess;
  readonly #kernel: Pick<DescriptorKernel, "listenUnix" | "closeFd"> = loadKernel();
  #held: { readonly fd: number; readonly inode: number | undefined } | undefined;

  constructor(path: string, access: SocketAccess) {
    this.#path = path;
    this.#access = access;
  }

  /** The listening descriptor; undefined before it is opened. It stays ours. */
  get fd(): number | undefined {
    return this.#held?.fd;
  }

  /**
   * Listens, unless it does already; anew when its file was taken away. A stale socket file is replaced. Throws conflict
   * when another process answers there.
   */
  async open(): Promise<void> {
    if (this.#held !== undefined && (await socketInode(this.#path)) === this.#held.inode) return;
    await this.close();
    let fd = -1;
    await placeSocket(this.#path, this.#access, (temporary) => {
      fd = this.#kernel.listenUnix(temporary, 0o600, backlog);
      return Promise.resolve();
    });
    this.#held = { fd, inode: await socketInode(this.#path) };
  }

  /** Refuses whoever waits, and removes the file. */
  async close(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    await removeSocket(this.#path, held.inode);
    this.#kernel.closeFd(held.fd);
  }
}

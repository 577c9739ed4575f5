/**
 * The kernel, as the services see it: the only seam to the addon. The real one is
 * `loadKernel()`; tests may put a recorder in its place.
 *
 * Every failure is a {@link KernelError}: an Error with `code` (`EPERM`), `errno`, `syscall`,
 * and, where known, `path` and `step`. Methods that may block run on a thread and return
 * promises; the others return at once. Descriptors are plain numbers, close-on-exec, and
 * belong to the caller, who ends them with {@link DescriptorKernel.closeFd} (or gives them
 * to a `net.Socket`, which then owns them).
 */

/** What a failed kernel call throws. */
export interface KernelError extends Error {
  /** Name of the errno, `ENOENT`. */
  readonly code: string;
  /** The errno, positive. */
  readonly errno: number;
  /** The call, `mount`. */
  readonly syscall: string;
  /** What it was done to. */
  readonly path?: string;
  /** What the call was part of. */
  readonly step?: string;
}

/** Something that is watched until it is closed; a watch keeps the event loop alive. Closing twice is allowed. */
export interface Watch {
  close(): void;
}

/** What to start. */
export interface LaunchOptions {
  /** Descriptor of the program, from {@link ProcessKernel.sealExecutable}. */
  readonly executable: number;
  /** Arguments, argv[0] first. */
  readonly argv: readonly string[];
  /** Environment as `KEY=value`; nothing is inherited. */
  readonly env: readonly string[];
  /** Descriptors as [in the child, ours]; 0, 1 and 2 are /dev/null unless named. */
  readonly fds: readonly (readonly [child: number, parent: number])[];
  /** Working directory; default ours. */
  readonly cwd?: string;
}

/** A started process. */
export interface LaunchedProcess {
  readonly pid: number;
  /** Pidfd, the caller's to close. */
  readonly pidfd: number;
}

/** How a child of ours ended: by itself with a code, or by a signal. */
export type ChildExit = { readonly exitCode: number } | { readonly signal: number };

export interface ProcessKernel {
  /** Copies a program into a sealed memfd that nobody can write to; made once, used for every launch. */
  sealExecutable(path: string): number;
  /**
   * Starts a program; returns when it is executed. The cost does not depend on our memory.
   * The child has to be reaped, which {@link watchPidfd} does.
   */
  launch(options: LaunchOptions): LaunchedProcess;
  /** Throws ESRCH when there is no such process. */
  pidfdOpen(pid: number): number;
  /** Throws ESRCH when the process is gone. */
  pidfdSendSignal(pidfd: number, signal: number): void;
  /**
   * Calls back once when the process has ended, then is closed. A child of ours is reaped and its
   * end told; for any other process `exit` is undefined. The pidfd itself stays the caller's.
   */
  watchPidfd(pidfd: number, onExit: (exit: ChildExit | undefined) => void): Watch;
  /** Start time in clock ticks since boot (field 22 of /proc/pid/stat), or undefined when there is no such process (or only its zombie). */
  processStartTicks(pid: number): bigint | undefined;
}

/** How the copy of a body has ended. */
export type BodyOutcome = "whole" | "cut" | "malformed" | "refused";

export interface DescriptorKernel {
  /** Binds and listens on a Unix stream socket, replacing a socket file that is there. Paths of any length. */
  listenUnix(path: string, mode: number, backlog: number): number;
  /** Two connected Unix stream sockets. */
  socketpair(): [number, number];
  /** An anonymous file with these bytes, positioned at its start; sealed: unchangeable. */
  memfd(name: string, bytes: Uint8Array, seal: boolean): number;
  /**
   * Calls back once when the peer of a Unix stream socket has closed it altogether, which reading tells
   * from a mere end of its writing only at our next write; then is closed. The descriptor itself stays
   * its owner's, and the connection open until the watch is closed, too.
   */
  watchHangup(fd: number, onHangup: () => void): Watch;
  /**
   * Copies the body of an HTTP request from one stream socket to another, on the event loop but past
   * JavaScript. Nobody else may read the one or write to the other meanwhile; both stay their owners'.
   * @param start bytes of the body that have been read already, with their framing
   * @param length of the body; -1: it comes in chunks
   * @param onEnd called once, not after close(): `cut` when the sender has gone before the end,
   * `refused` when the receiver takes no more. After `whole` and `malformed` further bytes are unread or lost.
   */
  relayBody(
    from: number,
    to: number,
    start: Uint8Array,
    length: number,
    onEnd: (outcome: BodyOutcome) => void,
  ): Watch;
  /** Closes a descriptor; EBADF is thrown, as it is a bug of the caller. */
  closeFd(fd: number): void;
}

/** A comparison of a seccomp rule; `op` is a number of libseccomp's enum scmp_compare. */
export interface SeccompCondition {
  readonly index: number;
  readonly op: number;
  readonly value: bigint;
  readonly valueTwo: bigint;
}

/** What happens to some system calls; `action` is SECCOMP_RET_* with its errno. */
export interface SeccompRule {
  readonly action: number;
  readonly names: readonly string[];
  readonly conditions: readonly SeccompCondition[];
}

/** A profile in numbers; made from the runtime-spec's by `parseSeccomp`. */
export interface SeccompProfile {
  readonly defaultAction: number;
  /** libseccomp's names of further architectures (`x86`). */
  readonly architectures: readonly string[];
  readonly rules: readonly SeccompRule[];
  /** Refuse i386 socketcall(SYS_SOCKET): conditions on socket(2) cannot be checked there. */
  readonly refuseSocketcallSocket: boolean;
}

export interface SeccompKernel {
  /** The program (an array of struct sock_filter), optimised; takes about 10 ms on a thread. */
  compileSeccomp(profile: SeccompProfile): Promise<Uint8Array>;
  /** Version of libseccomp; programs of one version are not reused with another. */
  seccompVersion(): string;
}

/** One address of a link. */
export interface LinkAddress {
  /** `172.17.0.1/16`. */
  readonly cidr: string;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
}

/** One network link. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** What somebody wrote on it, or empty. */
  readonly alias: string;
  /** `bridge`, `veth`, ...; empty for hardware and lo. */
  readonly kind: string;
  /** `02:42:ac:11:00:02`, or empty. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Index of its bridge, or 0. */
  readonly master: number;
  /** Index of the link below it, or 0. */
  readonly link: number;
  readonly addresses: readonly LinkAddress[];
}

/** One route of the main table. */
export interface Route {
  readonly destination: string;
  /** Empty for a link route. */
  readonly gateway: string;
  /** Index of the output link, or 0. */
  readonly link: number;
  readonly source: string;
  readonly metric: number;
}

/** A link to make. */
export interface NewLink {
  readonly kind: "bridge" | "dummy" | "macvlan" | "ipvlan" | "vlan";
  readonly name: string;
  /** 6 bytes; default the kernel's choice. */
  readonly mac?: Uint8Array;
  /** Bytes; default the kernel's choice. */
  readonly mtu?: number;
  /** Name of the link below (macvlan, ipvlan, vlan). */
  readonly parent?: string;
  /** vlan: ID; macvlan: 1 private, 2 vepa, 4 bridge, 8 passthru; ipvlan: 0 l2, 1 l3, 2 l3s. */
  readonly mode?: number;
  /** bridge: default true. */
  readonly multicastSnooping?: boolean;
}

/** An interface to make in the network namespace of a running process; as gantry.shim.v1.InterfacePlan. */
export interface ContainerInterface {
  readonly kind: string;
  /** Name of the host's end of a veth pair. */
  readonly hostName: string;
  readonly name: string;
  /** Bridge (veth) or the link below, by name. */
  readonly parent: string;
  readonly mac: Uint8Array;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** Bytes, 0 = the parent's. */
  readonly mtu: number;
  readonly routes: readonly {
    readonly destination: string;
    readonly gateway: string;
    readonly metric: number;
  }[];
  /** As {@link NewLink.mode}; default 0. */
  readonly modeNumber?: number;
  /** Files below /proc/sys, written before the interface is up. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly isolated: boolean;
}

/** To a gateway, else to a link, else (both empty) nowhere. */
export interface DefaultRoute {
  readonly gateway: string;
  readonly link: string;
}

/** rtnetlink in the network namespace of this process. */
export interface NetworkKernel {
  listLinks(): Promise<Link[]>;
  listRoutes(): Promise<Route[]>;
  /** EEXIST when the name is taken. */
  createLink(link: NewLink): Promise<void>;
  /** Can take 20 ms; ENODEV when there is none. */
  deleteLink(name: string): Promise<void>;
  setLinkUp(name: string, up: boolean): Promise<void>;
  setLinkMtu(name: string, mtu: number): Promise<void>;
  /** Empty master: leaves its bridge. */
  setLinkMaster(name: string, master: string): Promise<void>;
  /** Gives a link that is down its name and its alias (none: as it is) in one step; EEXIST when the name is taken. */
  renameLink(name: string, to: string, alias: string): Promise<void>;
  /** EEXIST when it is there. */
  addAddress(name: string, cidr: string): Promise<void>;
  /** EADDRNOTAVAIL when it is not there. */
  removeAddress(name: string, cidr: string): Promise<void>;
  /** In the network namespace of a process. All or nothing; ENOENT when there is no such process. */
  attachInterface(pid: number, plan: ContainerInterface): Promise<void>;
  /**
   * In the network namespace of a process. `hostName`: of the host's end, or empty. No error when there is no such
   * interface; one of that name that a program made there stays.
   */
  detachInterface(pid: number, name: string, hostName: string): Promise<void>;
  /**
   * Forgets the tracked UDP flows to these ports of this host's addresses, so that the rules of now
   * decide about their next packets. Resolves to their number.
   */
  forgetUdpFlows(ports: readonly number[]): Promise<number>;
  /** Replaces the default routes of a process's network namespace; those of a family that is undefined stay. */
  setDefaultRoutes(
    pid: number,
    ipv4: DefaultRoute | undefined,
    ipv6: DefaultRoute | undefined,
  ): Promise<void>;
}

/** One committed nftables transaction. */
export interface RulesetChange {
  readonly generation: number;
  /** Who made it; compare with the process of one's own nft to tell others' changes. */
  readonly processId: number;
  readonly processName: string;
  /** Notices were dropped: anything may have changed. */
  readonly lost: boolean;
}

/**
 * Elements of one map of a table of the family inet. Keys and values have the kernel's form: the parts of a
 * concatenation one after the other, each padded with zeros to a multiple of 4 bytes.
 */
export interface ElementChange {
  readonly map: string;
  /** Take them out; else put them in, which fails (EEXIST) when the key has another value. */
  readonly remove: boolean;
  /** All keys one after the other, and all values (of a set: none); of the same sizes each. */
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

export interface NftablesKernel {
  /**
   * Changes elements of maps in one transaction, without a process, in well under a millisecond for a few; throws
   * ENOENT (no such table, map or element) and the like. All or nothing.
   */
  changeElements(table: string, changes: readonly ElementChange[]): void;
  /** Tells of every change of the ruleset of this network namespace, ours too, until closed. */
  watchRuleset(onChange: (change: RulesetChange) => void): Watch;
}

/** An overlay to mount on the host. */
export interface OverlayMount {
  /** Uppermost first. */
  readonly lowerDirs: readonly string[];
  /** With workDir; absent: read-only. */
  readonly upperDir?: string;
  readonly workDir?: string;
  readonly target: string;
  /** `key` or `key=value`. */
  readonly options?: readonly string[];
}

export interface MountKernel {
  mountOverlay(overlay: OverlayMount): Promise<void>;
  /** mount(2) with MS_* flags. */
  mount(mount: {
    readonly source: string;
    readonly target: string;
    readonly type?: string;
    readonly flags: bigint;
    readonly data?: string;
  }): Promise<void>;
  /**
   * Mounts on the descriptor `target` what the descriptor `source` is (a file or a directory), private:
   * neither mounts nor unmounts pass between the two. Read-only goes as deep as `recursive`.
   */
  bind(mount: {
    readonly source: number;
    readonly target: number;
    readonly recursive: boolean;
    readonly readOnly: boolean;
  }): Promise<void>;
  /** umount2(2) with MNT_* flags (2 = MNT_DETACH); EINVAL when nothing is mounted there. */
  unmount(target: string, flags: number): Promise<void>;
}

/** Files. Extended attributes and nodes never follow a last symlink. */
export interface PathKernel {
  /**
   * openat2(2) with RESOLVE_IN_ROOT and NO_MAGICLINKS: whatever symlinks say, the result lies
   * below `root`. Reach further by `/proc/self/fd/<fd>/<name>`.
   */
  openInRoot(root: number, path: string, flags: number, mode: number): number;
  /**
   * An O_PATH descriptor of the directory or file `path` below `root`, resolved as by {@link openInRoot}.
   * Where it is missing it is made (mode 0755, a file empty), its parents, too.
   */
  makeInRoot(root: number, path: string, directory: boolean): number;
  /** Undefined when the attribute is not set. */
  getXattr(path: string, name: string): Buffer | undefined;
  listXattrs(path: string): string[];
  setXattr(path: string, name: string, value: Uint8Array): void;
  /**
   * Copies regular files, one after the other, to names that are free: bytes, times and extended attributes (not
   * `trusted.` and `system.`). What a failed call has written stays.
   * @param numbers owner, group and permissions of each, in that order
   */
  copyFiles(from: readonly string[], to: readonly string[], numbers: Uint32Array): Promise<void>;
  /** mknod(2); `mode` with its S_IF* type. */
  makeNode(path: string, mode: number, major: number, minor: number): void;
  /** syncfs(2) of the file system that holds `path`: all that was written to it up to now is on disk. */
  syncFileSystem(path: string): Promise<void>;
  /**
   * fallocate(2) from the start of a file, which keeps its size: writes to these bytes need no more space. ENOSPC when
   * there is not so much; EOPNOTSUPP where the file system cannot.
   */
  reserveSpace(path: string, sizeBytes: number): Promise<void>;
  /**
   * Removes a file, or a folder with what is in it, but no more than `limit` entries: true when nothing is left. See
   * {@link removeTree}, which goes on until then.
   */
  removeTreePart(path: string, limit: number): Promise<boolean>;
}

/** All of it. */
export interface Kernel
  extends ProcessKernel,
    DescriptorKernel,
    SeccompKernel,
    NetworkKernel,
    NftablesKernel,
    MountKernel,
    PathKernel {}

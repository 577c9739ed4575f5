/** What a bundle is made of besides the record. */
import type { RuntimeDevice, RuntimeDeviceRule, RuntimeMount, RuntimeSeccomp } from "@gantry/oci";
import type { ContainerRecord } from "../container-record.ts";
import type { HostFacts } from "../host-facts.ts";

/** What containers get that ask for nothing, as the runtime and daemon.json have it. */
export interface RuntimeDefaults {
  readonly ociVersion: string;
  readonly capabilities: readonly string[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly deviceRules: readonly RuntimeDeviceRule[];
  /** Default mounts in order, for a size of /dev/shm in bytes. */
  mounts(shmSizeBytes: number): RuntimeMount[];
  /** The default profile for a container with these capabilities. */
  seccompProfile(capabilities: readonly string[]): RuntimeSeccomp;
  /** Name of the cgroup below which containers go without a parent of their own. */
  readonly cgroupParent: string;
  readonly noNewPrivileges: boolean;
  /** AppArmor profile of containers that name none; empty: the machine does not use AppArmor. */
  readonly apparmorProfile: string;
  /** `builtin`, `unconfined`, or a profile's JSON text. */
  readonly seccomp: string;
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: bigint;
    readonly hard: bigint;
  }[];
}

/** A namespace of another process, or a new or the host's one. */
export type NamespaceSource = "new" | "host" | { readonly pid: number };

/** A device of the host that the container gets. */
export interface GrantedDevice {
  readonly device: RuntimeDevice;
  /** `rwm` or a part of it. */
  readonly access: string;
}

/** Numbers of a block device by its path, for limits. */
export type BlockDeviceNumbers = ReadonlyMap<
  string,
  { readonly major: number; readonly minor: number }
>;

/** Everything that is decided before a bundle is written. */
export interface BundleInput {
  readonly record: ContainerRecord;
  readonly host: HostFacts;
  readonly defaults: RuntimeDefaults;
  readonly network: NamespaceSource;
  readonly ipc: NamespaceSource;
  readonly pid: NamespaceSource;
  /** Host name for the UTS namespace. */
  readonly hostname: string;
  /** Binds of resolv.conf, hosts and hostname, then volumes, binds and tmpfs mounts, in order. */
  readonly mounts: readonly RuntimeMount[];
  /** Propagation that shared binds need, or empty. */
  readonly rootfsPropagation: string;
  /** Host path of a tmpfs for /dev/shm that other containers may join, or empty. */
  readonly shmPath: string;
  readonly devices: readonly GrantedDevice[];
  readonly blockDevices: BlockDeviceNumbers;
  /** Run below an init process. */
  readonly init: boolean;
}

/** What the machine can do and has, as far as rules about containers depend on it. Read once at start. */
export interface HostFacts {
  readonly cgroupVersion: "1" | "2";
  /** CPUs that the engine may use. */
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Online CPUs and memory nodes as cpuset lists, `0-3`. */
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly kernelVersion: string;
  readonly hostname: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** Kernel's machine name, `x86_64`. */
  readonly machine: string;
  /** As warnings name it, `linux/amd64/v3`. */
  readonly platform: string;
  readonly bootId: string;
  readonly features: KernelFeatures;
  readonly apparmor: boolean;
  readonly seccomp: boolean;
  /** The host has POSIX message queues mounted at /dev/mqueue. */
  readonly messageQueues: boolean;
}

/** Limits that this kernel has, by Docker's names. */
export interface KernelFeatures {
  readonly memoryLimit: boolean;
  readonly swapLimit: boolean;
  readonly memorySwappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly kernelMemoryTcp: boolean;
  readonly cpuCfsPeriod: boolean;
  readonly cpuCfsQuota: boolean;
  readonly cpuShares: boolean;
  readonly cpuSet: boolean;
  readonly cpuRealtime: boolean;
  readonly pidsLimit: boolean;
  readonly blkioWeight: boolean;
  readonly blkioThrottle: boolean;
  /** As it is when it is asked: the engine itself switches it on for its first network. */
  readonly ipv4Forwarding: boolean;
}

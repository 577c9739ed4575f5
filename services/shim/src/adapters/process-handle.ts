/** Hold on a process by its pidfd: whatever happens to its number, a signal reaches it or nobody. */
import { hasErrno } from "@gantry/errors";
import type { DescriptorKernel, ProcessKernel } from "@gantry/native";

export type HandleKernel = Pick<
  ProcessKernel & DescriptorKernel,
  "closeFd" | "pidfdOpen" | "pidfdSendSignal" | "processStartTicks" | "watchPidfd"
>;

export interface ProcessHandle {
  readonly pid: number;
  /** Whether it was there to get the signal. Throws invalid_argument's errno EINVAL for a number that is none. */
  signal(signal: number): boolean;
  /** Lets go of it; signals reach nobody afterwards. */
  close(): void;
}

/** A handle that also tells when the process ends. */
export interface WatchedProcess extends ProcessHandle {
  /** Resolves when the process has ended (and was reaped, if it is our child); never after `close`. */
  readonly ended: Promise<void>;
}

/** Takes over a pidfd. */
export function holdProcess(kernel: HandleKernel, pid: number, pidfd: number): ProcessHandle {
  let open = true;
  return {
    pid,
    signal: (signal) => {
      if (!open) return false;
      try {
        kernel.pidfdSendSignal(pidfd, signal);
        return true;
      } catch (error) {
        if (hasErrno(error, "ESRCH")) return false;
        throw error;
      }
    },
    close: () => {
      if (open) kernel.closeFd(pidfd);
      open = false;
    },
  };
}

/** Takes over a pidfd and watches it. */
export function watchProcess(kernel: HandleKernel, pid: number, pidfd: number): WatchedProcess {
  const handle = holdProcess(kernel, pid, pidfd);
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const watch = kernel.watchPidfd(pidfd, () => {
    resolve();
  });
  return {
    ...handle,
    ended,
    close: () => {
      watch.close();
      handle.close();
    },
  };
}

/** The pidfd of exactly this process, or undefined when it is gone. */
export function openProcess(
  kernel: HandleKernel,
  pid: number,
  startTicks: bigint,
): number | undefined {
  if (pid <= 0) return undefined;
  let pidfd: number;
  try {
    pidfd = kernel.pidfdOpen(pid);
  } catch (error) {
    if (hasErrno(error, "ESRCH") || hasErrno(error, "EINVAL")) return undefined;
    throw error;
  }
  // Read after the descriptor is held: the number cannot have passed to another process since.
  if (kernel.processStartTicks(pid) === startTicks) return pidfd;
  kernel.closeFd(pidfd);
  return undefined;
}

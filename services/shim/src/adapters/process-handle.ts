/** Hold on a process by its pidfd: whatever happens to its number, a signal reaches it or nobody. */
import { hasErrno } from "@gantry/errors";
import type { DescriptorKernel, ProcessKernel } from "@gantry/native";
import type { Processes, ProcessHandle, WatchedProcess } from "../ports.ts";

type HandleKernel = Pick<
  ProcessKernel & DescriptorKernel,
  "closeFd" | "pidfdOpen" | "pidfdSendSignal" | "processStartTicks" | "watchPidfd"
>;

/** Processes of this machine. */
export function openProcesses(kernel: HandleKernel): Processes {
  return {
    hold: (pid, pidfd) => holdProcess(kernel, pid, pidfd),
    watch: (pid, pidfd) => watchProcess(kernel, pid, pidfd),
    open: (pid, startTicks) => openProcess(kernel, pid, startTicks),
  };
}

function holdProcess(kernel: HandleKernel, pid: number, pidfd: number): ProcessHandle {
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

function watchProcess(kernel: HandleKernel, pid: number, pidfd: number): WatchedProcess {
  const handle = holdProcess(kernel, pid, pidfd);
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  const watch = kernel.watchPidfd(pidfd, () => {
    resolve(undefined);
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

function openProcess(kernel: HandleKernel, pid: number, startTicks: bigint): number | undefined {
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

/** Execs → Docker's JSON. */
import type { Exec } from "@gantry/proto/container";
import type { JsonOut } from "./json.ts";

/** The answer of GET /exec/{id}/json. */
export function encodeExec(exec: Exec): JsonOut {
  return {
    ID: exec.id,
    Running: exec.running,
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: exec.tty,
      entrypoint: exec.entrypoint,
      arguments: exec.arguments,
      privileged: exec.privileged,
      user: exec.user === "" ? undefined : exec.user,
    },
    OpenStdin: exec.openStdin,
    OpenStderr: exec.openStderr,
    OpenStdout: exec.openStdout,
    CanRemove: false,
    ContainerID: exec.containerId,
    DetachKeys: Buffer.from(exec.detachKeys).toString("base64"),
    Pid: exec.pid,
  };
}

/** Top: ps(1) on the host, of the container's processes only. */
import { execFile } from "node:child_process";
import { conflict, internal, invalidArgument } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { filterProcesses, type ProcessTable } from "../domain/process-table.ts";
import { type App, containerEvent } from "./context.ts";

/** Errors: conflict (not running), invalid_argument (arguments of ps). */
export async function topContainer(
  app: App,
  reference: string,
  psArgs: string,
  signal: AbortSignal,
): Promise<ProcessTable> {
  const entry = app.registry.find(reference);
  const { status } = entry.record.state;
  if (status === "restarting") {
    throw conflict(`Container ${entry.id} is restarting, wait until the container is running`);
  }
  if (!isLive(entry.record.state)) throw conflict(`container ${entry.id} is not running`);
  const args = psArgs.trim() === "" ? ["-ef"] : psArgs.trim().split(/\s+/);
  refuseArguments(args);
  const { pids } = await app.shim.listPids({ id: entry.id });
  const output = await ps(args, signal);
  const table = filterProcesses(output, new Set(pids));
  app.store.append([containerEvent(entry.record, "top")]);
  return table;
}

/** A column with a title of its own may not call itself PID: whose processes are shown depends on it. */
function refuseArguments(args: readonly string[]): void {
  const renames = args.find((arg) => /=.*pid/i.test(arg) && !/^-?-?(pid|ppid)=\d/i.test(arg));
  if (renames !== undefined) throw invalidArgument(`specifying "${renames}" is not allowed`);
}

function ps(args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      signal,
      env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
      maxBuffer: 16 << 20,
    };
    execFile("ps", args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === "ENOENT")
        reject(internal("ps is not installed on the host", { cause: error }));
      else {
        const [said = ""] = stderr.trim().split("\n");
        reject(internal(`ps: ${said.replace(/^ps: /, "") || error.message}`, { cause: error }));
      }
    });
  });
}

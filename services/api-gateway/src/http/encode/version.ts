/** The answer of GET /version. It needs no other service. */
import os from "node:os";
import {
  engineVersion,
  gantryVersion,
  newestApi,
  oldestApi,
  platformName,
} from "../../identity.ts";
import type { JsonOut } from "./json.ts";

/** Go's names of architectures. */
const goArch: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** This machine's architecture in Go's words. */
function machineArch(): string {
  return goArch[process.arch] ?? process.arch;
}

/** Encodes what the engine is. */
export function encodeVersion(): JsonOut {
  const runtime = `Node.js ${process.version}`;
  const kernel = os.release();
  return {
    Platform: { Name: platformName },
    Components: [
      {
        Name: "Engine",
        Version: engineVersion,
        Details: {
          ApiVersion: newestApi,
          Arch: machineArch(),
          BuildTime: "",
          Experimental: "false",
          GitCommit: "",
          GoVersion: runtime,
          KernelVersion: kernel,
          MinAPIVersion: oldestApi,
          Os: "linux",
        },
      },
      { Name: "gantry", Version: gantryVersion, Details: { GitCommit: "" } },
    ],
    Version: engineVersion,
    ApiVersion: newestApi,
    MinAPIVersion: oldestApi,
    GitCommit: "",
    GoVersion: runtime,
    Os: "linux",
    Arch: machineArch(),
    KernelVersion: kernel,
    BuildTime: "",
  };
}

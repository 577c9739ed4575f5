/** What may stand in a container's configuration. Every refusal is invalid_argument in Docker's words. */
import path from "node:path/posix";
import { invalidArgument } from "@gantry/errors";
import { parseExposedPort } from "../network/port-spec.ts";
import type { ContainerConfig, HealthConfig } from "../nouns.ts";
import { checkStopSignal } from "../signals.ts";

const longestHostname = 64;
/** Of DNS; the kernel keeps the beginning. */
const longestDomain = 255;
const shortestDurationNs = 1_000_000n;

/** Checks what does not depend on the image. */
export function validateConfig(config: ContainerConfig): void {
  if (config.workingDir !== "" && !path.isAbsolute(config.workingDir)) {
    throw invalidArgument(
      `the working directory '${config.workingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  for (const variable of config.env) validateEnv(variable);
  if (config.stopSignal !== "") checkStopSignal(config.stopSignal);
  validateHostname("hostname", config.hostname, longestHostname);
  validateHostname("domainname", config.domainname, longestDomain);
  if (config.healthcheck !== undefined) validateHealthcheck(config.healthcheck);
  for (const port of config.exposedPorts) parseExposedPort(port);
  for (const volume of config.volumes) validateVolume(volume);
}

/** A variable needs a name. A NUL would cut what the kernel sees. */
export function validateEnv(variable: string): void {
  if (variable === "" || variable.startsWith("=") || variable.includes("\0")) {
    throw invalidArgument(`invalid environment variable: ${JSON.stringify(variable).slice(1, -1)}`);
  }
}

// They are written into hosts and resolv.conf: a blank or newline there would be a line of its own.
function validateHostname(what: string, name: string, longestBytes: number): void {
  if (Buffer.byteLength(name) > longestBytes || /[\s\0/]/.test(name)) {
    throw invalidArgument(`invalid ${what}: ${JSON.stringify(name).slice(1, -1)}`);
  }
}

function validateVolume(destination: string): void {
  // A relative one lies below the root.
  if (path.resolve("/", destination) === "/") {
    throw invalidArgument(`invalid volume specification: destination can't be '/'`);
  }
}

function validateHealthcheck(health: HealthConfig): void {
  const durations = [
    ["Interval", health.intervalNs],
    ["Timeout", health.timeoutNs],
    ["StartPeriod", health.startPeriodNs],
    ["StartInterval", health.startIntervalNs],
  ] as const;
  for (const [name, value] of durations) {
    if (value !== 0n && value < shortestDurationNs) {
      throw invalidArgument(`${name} in Healthcheck cannot be less than 1ms`);
    }
  }
  if (health.retries < 0) throw invalidArgument("Retries in Healthcheck cannot be negative");
}

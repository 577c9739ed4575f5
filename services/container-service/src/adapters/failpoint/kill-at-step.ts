/**
 * For crash tests: counts the calls that change something on the machine, and ends the process by SIGKILL
 * right before a chosen one. GANTRY_FAILPOINT=file:<path> in the environment asks for it; the file says
 * which, `step:<n>`: the nth from when the file is there. The file is removed when it happens.
 */
import { rmSync } from "node:fs";
import process from "node:process";
import { readOrEmpty } from "./kill-at-launch.ts";

/** Ports with a step before each call of these methods. */
export type Stepping = <T extends object>(port: T, methods: readonly (keyof T)[]) => T;

/** Wraps nothing without a request. */
export function openStepping(env: Readonly<Record<string, string>>): Stepping {
  const file = /^file:(.+)$/.exec(env["GANTRY_FAILPOINT"] ?? "")?.[1];
  if (file === undefined) return (port) => port;
  let count = 0;
  const step = (): void => {
    const wanted = /^step:(\d+)$/.exec(readOrEmpty(file))?.[1];
    if (wanted === undefined) {
      count = 0;
      return;
    }
    count += 1;
    if (count !== Number(wanted)) return;
    rmSync(file);
    process.kill(process.pid, "SIGKILL");
  };
  return (port, methods) => wrap(port, new Set<PropertyKey>(methods), step);
}

function wrap<T extends object>(port: T, methods: ReadonlySet<PropertyKey>, step: () => void): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      if (!methods.has(name)) return member.bind(target) as unknown;
      return (...args: unknown[]): unknown => {
        step();
        return Reflect.apply(member, target, args);
      };
    },
  });
}

/**
 * For crash tests: counts the calls that change something on disk, before and after each, and ends
 * the process by SIGKILL at a chosen one. GANTRY_FAILPOINT=step:<n> in the environment asks for it.
 */
import process from "node:process";

/** Ports with a step before and after each call. */
export type Stepping = <T extends object>(port: T) => T;

/** The chosen step. Undefined: none, and nothing is wrapped. */
export function failpointStep(env: Readonly<Record<string, string>>): number | undefined {
  const step = /^step:(\d+)$/.exec(env["GANTRY_FAILPOINT"] ?? "")?.[1];
  return step === undefined ? undefined : Number(step);
}

/** @param dieAt number of the step, from 1; undefined: never */
export function createStepping(dieAt: number | undefined): Stepping {
  if (dieAt === undefined) return (port) => port;
  let count = 0;
  const step = (): void => {
    count += 1;
    if (count === dieAt) process.kill(process.pid, "SIGKILL");
  };
  return (port) => wrap(port, step);
}

function wrap<T extends object>(port: T, step: () => void): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function" || !changesDisk(name)) {
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      }
      return (...args: unknown[]): unknown => {
        step();
        const result: unknown = Reflect.apply(member, target, args);
        if (result instanceof Promise) {
          return result.then((value: unknown) => {
            step();
            return value;
          });
        }
        step();
        return result;
      };
    },
  });
}

const changing = new Set([
  "change",
  "ingest",
  "adopt",
  "write",
  "remove",
  "create",
  "scratch",
  "unpack",
  "extract",
  "pack",
]);

function changesDisk(name: string | symbol): boolean {
  return typeof name === "string" && changing.has(name);
}

/** HEALTHCHECK and its flags. */
import { readFlags } from "./flags.ts";
import { goQuote } from "./go-quote.ts";
import type { HealthcheckInstruction } from "./instruction.ts";
import type { Flagged } from "./words.ts";
import { parseCommand, parseGoDuration } from "./words.ts";

const known = {
  interval: "one",
  timeout: "one",
  "start-period": "one",
  "start-interval": "one",
  retries: "one",
} as const;

const mostRetries = 2 ** 31 - 1;

/** Throws Error. */
export function parseHealthcheck({
  flags,
  rest,
}: Flagged): Omit<HealthcheckInstruction, "lines" | "original" | "comments"> {
  const [, type = "", text = ""] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  if (type === "") throw new Error("HEALTHCHECK requires at least one argument");
  const kind = "HEALTHCHECK" as const;
  const none = { intervalNs: 0, timeoutNs: 0, startPeriodNs: 0, startIntervalNs: 0, retries: 0 };
  if (type.toUpperCase() === "NONE") {
    if (text !== "") throw new Error("HEALTHCHECK NONE takes no arguments");
    return { kind, command: undefined, ...none };
  }
  const given = readFlags(flags, known);
  if (type.toUpperCase() !== "CMD") {
    throw new Error(`Unknown type ${goQuote(type.toUpperCase())} in HEALTHCHECK (try CMD)`);
  }
  const command = parseCommand(text);
  if (command.form === "exec" ? command.args.length === 0 : text === "")
    throw new Error("Missing command after HEALTHCHECK CMD");
  return {
    ...{ kind, command },
    intervalNs: duration("interval", given.one("interval")),
    timeoutNs: duration("timeout", given.one("timeout")),
    startPeriodNs: duration("start-period", given.one("start-period")),
    startIntervalNs: duration("start-interval", given.one("start-interval")),
    retries: retriesOf(given.one("retries") ?? ""),
  };
}

function duration(name: string, value = ""): number {
  if (value === "") return 0;
  const ns = parseGoDuration(value);
  if (ns !== 0 && ns < 1e6) throw new Error(`Interval ${goQuote(name)} cannot be less than 1ms`);
  return ns;
}

function retriesOf(text: string): number {
  if (text === "") return 0;
  const failure = `strconv.ParseInt: parsing ${goQuote(text)}`;
  if (!/^[-+]?\d+$/.test(text)) throw new Error(`${failure}: invalid syntax`);
  const retries = Number(text);
  if (retries > mostRetries || retries < -mostRetries - 1)
    throw new Error(`${failure}: value out of range`);
  if (retries < 0) throw new Error(`--retries cannot be negative (${String(retries)})`);
  return retries;
}

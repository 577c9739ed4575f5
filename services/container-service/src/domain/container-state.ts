/**
 * The life of a container as a state machine. Pure: what happens is an event, `transition` says what
 * follows, and the table says which states may follow which (docs/lifecycle.md draws it).
 */
import { EngineError } from "@gantry/errors";

/** Docker's statuses, and `starting`, which clients see as the one before. */
export type Status = State["status"];

/** What is known of the last finished run; all zero and empty before the first. */
export interface Past {
  /** Nanoseconds since the epoch, 0 = never. */
  readonly startedAtNano: bigint;
  /** Nanoseconds since the epoch, 0 = never. */
  readonly finishedAtNano: bigint;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Text of the last start if it failed. */
  readonly error: string;
}

/** Identity of a process and of the shim process that looks after it. */
export interface Launched {
  readonly pid: number;
  readonly pidStartTicks: bigint;
  readonly shimPid: number;
  readonly shimStartTicks: bigint;
  /** Hex. */
  readonly nonce: string;
}

/** A run that goes on. */
export interface Run {
  readonly launched: Launched;
  /** Boot in which it was launched. */
  readonly bootId: string;
  /** Nanoseconds since the epoch. */
  readonly startedAtNano: bigint;
}

export type State =
  | { readonly status: "created"; readonly past: Past }
  | {
      readonly status: "starting";
      readonly past: Past;
      readonly bootId: string;
      /** Hex; tells this launch from every other, in the records that its process leaves. */
      readonly nonce: string;
      /** What clients see until it runs. */
      readonly from: "created" | "restarting" | "exited";
    }
  | { readonly status: "running"; readonly past: Past; readonly run: Run }
  | { readonly status: "paused"; readonly past: Past; readonly run: Run }
  | { readonly status: "restarting"; readonly past: Past }
  | { readonly status: "exited"; readonly past: Past }
  | { readonly status: "removing"; readonly past: Past }
  | { readonly status: "dead"; readonly past: Past };

/** What can happen to a container. */
export type StateEvent =
  | { readonly type: "start"; readonly bootId: string; readonly nonce: string }
  | { readonly type: "launched"; readonly run: Run }
  | { readonly type: "launch-failed"; readonly error: string; readonly exitCode: number }
  /** It was cut off before its program began: as if it had not been asked for, but for the text. */
  | { readonly type: "launch-lost"; readonly error: string }
  | {
      readonly type: "exit";
      readonly exitCode: number;
      readonly oomKilled: boolean;
      /** Nanoseconds since the epoch. */
      readonly atNano: bigint;
      /** The restart policy will start it again. */
      readonly restart: boolean;
    }
  | { readonly type: "give-up-restart" }
  | { readonly type: "pause" }
  | { readonly type: "unpause" }
  | { readonly type: "remove" }
  | { readonly type: "remove-failed"; readonly error: string };

/** Which states may follow which. `removing` also ends the record. */
export const nextStatuses = {
  created: ["starting", "removing"],
  starting: ["running", "created", "exited", "restarting"],
  running: ["paused", "exited", "restarting"],
  paused: ["running", "exited", "restarting"],
  restarting: ["starting", "exited", "removing"],
  exited: ["starting", "removing"],
  removing: ["dead"],
  dead: ["removing"],
} as const satisfies Record<Status, readonly Status[]>;

/** What is done at boot with a record found in a state. */
export const recoveryRules = {
  created: "nothing; without its folder it is kept and the next start says what is missing",
  starting:
    "adopt by the nonce of the launch: a program that runs makes it running, one that had begun is a run that has " +
    "ended (`start` and `die` are told), else nothing was begun, and it is again what it was before the start",
  running:
    "adopt: it runs on, or its exit record or boot ID says how it ended, then the policy; one whose run folder was taken away is killed (137), since nobody could reach it any more",
  paused: "as running; the cgroup says whether it is still frozen",
  restarting: "start it again at once",
  exited: "with auto-remove it is removed, else by policy started again or left",
  removing: "the removal is finished",
  dead: "nothing; it can be removed again",
} as const satisfies Record<Status, string>;

/** A transition that the machine does not have: our bug, or a caller that did not check. */
export class InvalidTransitionError extends EngineError {
  override readonly name = "InvalidTransitionError";
  readonly from: Status;
  readonly event: StateEvent["type"];

  constructor(from: Status, event: StateEvent["type"]) {
    super("conflict", `container is ${from}: ${event} is not possible`);
    this.from = from;
    this.event = event;
  }
}

/** Before anything ran. */
export const neverRan: Past = {
  startedAtNano: 0n,
  finishedAtNano: 0n,
  exitCode: 0,
  oomKilled: false,
  error: "",
};

/** The state after an event. Throws InvalidTransitionError. */
export function transition(from: State, event: StateEvent): State {
  const to = follow(from, event);
  const allowed: readonly Status[] = nextStatuses[from.status];
  if (to === undefined || !allowed.includes(to.status)) {
    throw new InvalidTransitionError(from.status, event.type);
  }
  return to;
}

function follow(from: State, event: StateEvent): State | undefined {
  const { past } = from;
  switch (event.type) {
    case "start":
      return isStartable(from)
        ? { status: "starting", past, bootId: event.bootId, nonce: event.nonce, from: from.status }
        : undefined;
    case "launched":
      return from.status === "starting" ? { status: "running", past, run: event.run } : undefined;
    case "launch-failed":
      return from.status === "starting" ? afterFailedLaunch(past, event) : undefined;
    case "launch-lost":
      return from.status === "starting"
        ? { status: from.from, past: { ...past, error: event.error } }
        : undefined;
    case "exit":
      return isLive(from) ? afterExit(from, event) : undefined;
    case "give-up-restart":
      return from.status === "restarting" ? { status: "exited", past } : undefined;
    case "pause":
      return from.status === "running" ? { ...from, status: "paused" } : undefined;
    case "unpause":
      return from.status === "paused" ? { ...from, status: "running" } : undefined;
    case "remove":
      return { status: "removing", past };
    case "remove-failed":
      return { status: "dead", past: { ...past, error: event.error } };
  }
}

type Startable = Extract<State, { status: "created" | "restarting" | "exited" }>;

function isStartable(state: State): state is Startable {
  return state.status === "created" || state.status === "restarting" || state.status === "exited";
}

function afterFailedLaunch(past: Past, event: { error: string; exitCode: number }): State {
  const failed = { ...past, error: event.error, exitCode: event.exitCode, oomKilled: false };
  return { status: past.startedAtNano === 0n ? "created" : "exited", past: failed };
}

type Live = Extract<State, { run: Run }>;

function afterExit(from: Live, event: Extract<StateEvent, { type: "exit" }>): State {
  const past: Past = {
    startedAtNano: from.run.startedAtNano,
    finishedAtNano: event.atNano,
    exitCode: event.exitCode,
    oomKilled: event.oomKilled,
    error: "",
  };
  return { status: event.restart ? "restarting" : "exited", past };
}

/** There is a process. */
export function isLive(state: State): state is Live {
  return state.status === "running" || state.status === "paused";
}

/** Docker's `Running`: there is a process, or there will be one again by the restart policy. */
export function isRunning(state: State): boolean {
  return isLive(state) || shownStatus(state) === "restarting";
}

/** The status as clients see it. */
export function shownStatus(state: State): Exclude<Status, "starting"> {
  return state.status === "starting" ? state.from : state.status;
}

/** What is asked for of a mount, and the rules that both of its notations share. Texts are Docker's. */
import path from "node:path/posix";
import { invalidArgument } from "@gantry/errors";
import type { MountRecord, MountType, ReadOnlyMode } from "./records.ts";

/** Rules that depend on the caller's API version. */
export interface MountRules {
  /** Read-only binds are so recursively where the kernel can (from 1.44 on). */
  readonly recursiveReadOnly: boolean;
  /** Options of any other mount type are an error (from 1.42 on), else of some only. */
  readonly strictOptions: boolean;
}

/** A mount as asked for; the volume of an empty name is yet to be made. */
export interface MountWish extends MountRecord {
  /** Don't fill the volume from the image. */
  readonly noCopy: boolean;
  /** For a volume made now. */
  readonly volumeLabels: Readonly<Record<string, string>>;
  readonly volumeOptions: Readonly<Record<string, string>>;
  /** The source must exist already. */
  readonly sourceMustExist: boolean;
  /** A volume of Config.Volumes: of the image, or asked for without a source. */
  readonly declared: boolean;
}

/** Puts a problem in the words of the place where it is. */
export type Describe = (problem: string) => string;

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"] as const;
export const defaultPropagation = "rprivate";

export function isPropagation(word: string): boolean {
  return (propagations as readonly string[]).includes(word);
}

/** A record with nothing special about it. */
export function plainWish(type: MountType, destination: string): MountWish {
  return {
    type,
    name: "",
    source: "",
    destination,
    driver: "",
    mode: "",
    rw: true,
    propagation: "",
    subpath: "",
    nonRecursive: false,
    readOnly: "shallow",
    createSource: false,
    tmpfsOptions: [],
    listed: true,
    anonymous: false,
    noCopy: false,
    volumeLabels: {},
    volumeOptions: {},
    sourceMustExist: false,
    declared: false,
  };
}

/** How far a read-only mount is so, if it is one. */
export function readOnlyMode(rules: MountRules, shallow: boolean, force: boolean): ReadOnlyMode {
  if (force) return "deep";
  return shallow || !rules.recursiveReadOnly ? "shallow" : "deep-if-possible";
}

/** The cleaned path. Errors: invalid_argument. */
export function checkTarget(target: string, describe: Describe): string {
  if (target === "") throw invalidArgument(describe("field Target must not be empty"));
  if (target.includes("\0")) throw invalidArgument(describe("invalid mount path"));
  if (!target.startsWith("/")) {
    throw invalidArgument(describe(`invalid mount path: '${target}' mount path must be absolute`));
  }
  const clean = path.normalize(target).replace(/(.)\/$/, "$1");
  if (clean === "/")
    throw invalidArgument(describe("invalid specification: destination can't be '/'"));
  return clean;
}

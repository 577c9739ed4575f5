/** URLs of git repositories as Docker writes them: `url#ref:folder`, or queries. */
import path from "node:path";
import { BuildFailure, DownloadFailure } from "../../domain/build-failure.ts";

/** A repository, what of it, and where in it. */
export interface GitUrl {
  readonly remote: string;
  /** Branch, tag or commit; empty: the default branch. */
  readonly ref: string;
  /** Folder in it, clean and relative; empty: all. */
  readonly folder: string;
  /** How the commit's name must begin; empty: any. */
  readonly checksum: string;
  /** Whether `.git` is kept; undefined: whoever asks says that. */
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean;
}

/** Throws BuildFailure. */
export function parseGitUrl(text: string): GitUrl {
  const [address, fragment] = split(text, "#");
  const [remote, query] = split(address, "?");
  const [refOfFragment, folderOfFragment] = split(fragment, ":");
  const params = readQuery(query);
  const ref = refOf(params, refOfFragment);
  const folder = agreed("subdir", folderOfFragment, params.get("subdir") ?? "");
  if (/^-|[\s\0]/.test(ref)) throw new DownloadFailure(`invalid git ref ${JSON.stringify(ref)}`);
  // No name has them.
  if (ref.includes(".."))
    throw new DownloadFailure(`repository does not contain ref ${ref}, output: ""`);
  if (!/^(?:https?|git|ssh):\/\/[^-\s]|^git@[^-\s][^\s]*:/.test(remote)) {
    throw new BuildFailure(`invalid git url: ${remote}`);
  }
  return {
    ...{ remote, ref, folder: cleanFolder(folder) },
    checksum: params.get("checksum") ?? params.get("commit") ?? "",
    keepGitDir: flagOf(params, "keep-git-dir"),
    submodules: flagOf(params, "submodules") ?? true,
  };
}

const flags = ["keep-git-dir", "submodules"];
const words = new Set(["ref", "tag", "branch", "subdir", "checksum", "commit", ...flags]);

/** Each word once; only flags need no value. */
function readQuery(text: string): Map<string, string> {
  const params = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    const name = JSON.stringify(key);
    if (params.has(key)) throw new BuildFailure(`query ${name} has multiple values`);
    if (value === "" && !flags.includes(key)) throw new BuildFailure(`query ${name} has no value`);
    if (!words.has(key)) throw new BuildFailure(`unexpected query ${name}`);
    params.set(key, value);
  }
  return params;
}

/** A branch and a tag are said by their full names. */
function refOf(params: ReadonlyMap<string, string>, ofFragment: string): string {
  const [branch, tag] = [params.get("branch"), params.get("tag")];
  if (branch !== undefined && tag !== undefined)
    throw new BuildFailure("branch conflicts with tag");
  const full = (prefix: string, name: string | undefined): string =>
    name === undefined || name.startsWith(prefix) ? (name ?? "") : `${prefix}${name}`;
  const named = agreed("ref", ofFragment, params.get("ref") ?? "");
  return agreed("ref", named, full("refs/heads/", branch) || full("refs/tags/", tag));
}

/** What is said in two places must be the same. */
function agreed(what: string, one: string, other: string): string {
  if (one === "" || other === "" || one === other) return one || other;
  throw new BuildFailure(`${what} conflicts: ${JSON.stringify(one)} vs ${JSON.stringify(other)}`);
}

function flagOf(params: ReadonlyMap<string, string>, name: string): boolean | undefined {
  const text = params.get(name);
  if (text === undefined) return undefined;
  if (/^(?:|1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new BuildFailure(`invalid ${name} value: ${JSON.stringify(text)}`);
}

/** Where a path leads whose root is the repository: there is nothing above it. */
const cleanFolder = (folder: string): string =>
  path.posix.join("/", folder).replace(/^\/|\/$/g, "");

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

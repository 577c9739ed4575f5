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
}

/** Throws BuildFailure. */
export function parseGitUrl(text: string): GitUrl {
  const [address, fragment] = split(text, "#");
  const [remote, query] = split(address, "?");
  const [refOfFragment, folderOfFragment] = split(fragment, ":");
  const params = new URLSearchParams(query);
  const ref = params.get("ref") ?? params.get("branch") ?? params.get("tag") ?? refOfFragment;
  const folder = params.get("subdir") ?? folderOfFragment;
  if (/^-|[\s\0]/.test(ref)) throw new DownloadFailure(`invalid git ref ${JSON.stringify(ref)}`);
  // No name has them.
  if (ref.includes(".."))
    throw new DownloadFailure(`repository does not contain ref ${ref}, output: ""`);
  if (!/^(?:https?|git|ssh):\/\/[^-\s]|^git@[^-\s][^\s]*:/.test(remote)) {
    throw new BuildFailure(`invalid git url: ${remote}`);
  }
  return { remote, ref, folder: cleanFolder(folder) };
}

/** Where a path leads whose root is the repository: there is nothing above it. */
const cleanFolder = (folder: string): string =>
  path.posix.join("/", folder).replace(/^\/|\/$/g, "");

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

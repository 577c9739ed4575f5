/** Repositories of git, fetched by its program. What goes wrong is told in BuildKit's words. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { removeTree } from "@gantry/native";
import { BuildFailure, DownloadFailure, RepositoryFailure } from "../../domain/build-failure.ts";
import { goQuote } from "../../domain/dockerfile/go-quote.ts";
import type { ContextTree } from "../../ports/build-inputs.ts";
import type { Downloads } from "../../ports/downloads.ts";
import type { RunningVertex } from "../../ports/progress.ts";
import { scratchTree } from "../../ports/scratch-tree.ts";
import { placeIn } from "../files/in-root.ts";
import { GitFailure, type GitOptions, runGit, runGitShallow } from "./git-program.ts";
import { parseGitUrl } from "./git-url.ts";

type GitRequest = Parameters<Downloads["git"]>[0];

const commitForm = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/** A repository and how git is run for it. */
interface Repository {
  readonly remote: string;
  readonly options: GitOptions;
}

export async function fetchRepository(
  request: GitRequest,
  vertex: RunningVertex,
  signal: AbortSignal,
): Promise<ContextTree> {
  const { url, into, secret } = request;
  const parsed = parseGitUrl(url);
  const { remote, ref, folder, keepGitDir = request.keepGitDir } = parsed;
  const checksums = [request.checksum, parsed.checksum];
  for (const checksum of checksums)
    if (!/^[0-9a-f]*$/.test(checksum))
      throw new DownloadFailure(
        `invalid checksum ${checksum} for Git URL, expected hex commit hash`,
      );
  const cwd = path.join(into, "repository");
  mkdirSync(cwd, { mode: 0o755 });
  const options: GitOptions = {
    ...{ cwd, authorization: await authorizationFor(remote, secret), signal },
    agentSocket: await agentFor(remote, request),
    onOutput: (stream, bytes) => {
      vertex.log(stream, bytes);
    },
  };
  const repository = { remote, options };
  const { commit, name } = await resolve(repository, ref);
  for (const checksum of checksums)
    if (!commit.startsWith(checksum))
      throw new BuildFailure(`expected checksum to match ${checksum}, got ${commit}`);
  await fetchCommit(repository, commit, name);
  if (parsed.submodules)
    await runGitShallow(
      (depth) => ["submodule", "update", "--init", "--recursive", ...depth, "--quiet"],
      options,
    );
  if (!keepGitDir) await removeTree(path.join(cwd, ".git"));
  return scratchTree(folderIn(cwd, folder), into);
}

/** The commit that a name stands for now, and the name to fetch it by. */
async function resolve(
  repository: Repository,
  ref: string,
): Promise<{ readonly commit: string; readonly name: string }> {
  if (commitForm.test(ref)) return { commit: ref, name: ref };
  const name = ref === "" ? await defaultBranch(repository) : ref;
  const { remote } = repository;
  const listed = await listRefs(repository, [remote, name, `${name}^{}`], "failed to fetch remote");
  const commits = new Map(
    listed.split("\n").map((line) => {
      const [commit = "", full = ""] = line.split("\t");
      return [full, commit];
    }),
  );
  const short = name.replace(/^refs\/(?:heads|tags)\//, "");
  const places = [`refs/heads/${short}`, `refs/tags/${short}^{}`, `refs/tags/${short}`, name];
  const commit = places.map((place) => commits.get(place)).find((each) => each !== undefined);
  if (commit !== undefined) return { commit, name };
  throw new RepositoryFailure(
    `repository does not contain ref ${name}, output: ${goQuote(listed)}`,
    `fatal: couldn't find remote ref ${name}\n: exit status 128`,
  );
}

async function defaultBranch(repository: Repository): Promise<string> {
  const { remote } = repository;
  const failing = "error fetching default branch for repository";
  const listed = await listRefs(repository, ["--symref", remote, "HEAD"], failing);
  const branch = /^ref: (\S+)\tHEAD$/m.exec(listed)?.[1];
  return branch ?? "HEAD";
}

async function listRefs(
  { remote, options }: Repository,
  args: readonly string[],
  failing: string,
): Promise<string> {
  const onOutput = options.onOutput;
  try {
    const listed = await runGit(["ls-remote", ...args], options);
    if (listed !== "") onOutput(1, Buffer.from(`${listed}\n`));
    return listed;
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    throw new RepositoryFailure(`${failing} ${remote}: ${error.told}`, error.said, error);
  }
}

/** By its name; what only is somewhere in the history is looked for among everything. */
async function fetchCommit(
  { remote, options }: Repository,
  commit: string,
  name: string,
): Promise<void> {
  await runGit(["init", "--quiet"], options);
  const fetch = ["fetch", "--quiet", "--no-tags"];
  try {
    await runGitShallow((depth) => [...fetch, ...depth, remote, name], options);
  } catch (error) {
    if (!(error instanceof GitFailure) || name !== commit) throw error;
    await runGit([...fetch, remote, "+refs/*:refs/remotes/all/*"], options);
  }
  const wanted = name === commit ? commit : "FETCH_HEAD";
  try {
    await runGit(["checkout", "--quiet", "--detach", wanted], options);
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    const message = `failed to checkout remote ${remote}: ${error.told}`;
    throw new BuildFailure(message, undefined, { cause: error });
  }
}

/** Links in a repository lead nowhere but into it. */
function folderIn(root: string, folder: string): string {
  if (folder === "") return root;
  const place = placeIn(root, folder, true);
  if (place.stat?.isDirectory() === true) return place.path;
  const name = folder.split("/").at(-1) ?? folder;
  const reason =
    place.stat === undefined
      ? `failed to lstat ${goQuote(name)}: statat ${name}: no such file or directory`
      : `git subpath ${goQuote(`/${folder}`)} contains non-directory ${goQuote(name)}`;
  throw new BuildFailure(`invalid subdir /${folder}: ${reason}`);
}

/** Repositories behind ssh are reached with the client's keys. */
async function agentFor(remote: string, { agent }: GitRequest): Promise<string | undefined> {
  const isSsh = remote.startsWith("ssh://") || /^[^/]+@[^/]+:/.test(remote);
  if (!isSsh || agent === undefined) return undefined;
  const lent = await agent("default");
  if ("missing" in lent) throw new BuildFailure(lent.missing);
  return lent.socket;
}

async function authorizationFor(
  remote: string,
  secret: (id: string) => Promise<Uint8Array | undefined>,
): Promise<string> {
  if (!remote.startsWith("http")) return "";
  const { host } = new URL(remote);
  const text = async (id: string): Promise<string> =>
    Buffer.from((await secret(id)) ?? new Uint8Array())
      .toString("utf8")
      .trim();
  const header = (await text(`GIT_AUTH_HEADER.${host}`)) || (await text("GIT_AUTH_HEADER"));
  if (header !== "") return header;
  const token = (await text(`GIT_AUTH_TOKEN.${host}`)) || (await text("GIT_AUTH_TOKEN"));
  return token === "" ? "" : `Basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
}

/** Where a path below a volume or an image leads on the host, and that it does not lead out. Texts are dockerd's. */
import { lstat, readlink } from "node:fs/promises";
import path from "node:path";
import { hasErrno, internal, invalidArgument, notFound } from "@gantry/errors";

/** As many links as a kernel or Go's EvalSymlinks follow in one path. */
const maxLinks = 255;

/**
 * The subpath with its links followed, relative to the base; empty: the base itself. Links are followed as the host
 * does it, so that an absolute one leads out. Whoever opens the path afterwards must not follow links again.
 * Errors: not_found (nothing there), invalid_argument (outside), internal (links without end, a file on the way).
 */
export async function resolveSubpath(base: string, subpath: string): Promise<string> {
  const root = await evaluateLinks(base);
  const wanted = path.join(root, subpath);
  const found = await evaluateWanted(wanted);
  const inside = path.relative(root, found);
  if (inside === ".." || inside.startsWith("../")) {
    throw invalidArgument(
      `path concatenation escapes the base directory, base: ${root}, subpath: ${subpath}`,
    );
  }
  return inside;
}

async function evaluateWanted(wanted: string): Promise<string> {
  try {
    return await evaluateLinks(wanted);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) {
      const missing = (error as NodeJS.ErrnoException).path ?? wanted;
      throw notFound(
        "path",
        wanted,
        `cannot access path ${wanted}: lstat ${missing}: no such file or directory`,
        { cause: error },
      );
    }
    const reason = hasErrno(error, "ENOTDIR")
      ? "not a directory"
      : hasErrno(error, "ELOOP") && "EvalSymlinks: too many links";
    if (reason === false) throw error;
    throw internal(
      `error while resolving symlinks in combined path ${JSON.stringify(wanted)}: ${reason}`,
      { cause: error },
    );
  }
}

/** realpath(3), with the part that is missing in the error. */
async function evaluateLinks(wanted: string): Promise<string> {
  const rest = wanted.split("/").filter((part) => part !== "");
  let at = "/";
  let links = 0;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    // After links everything at `at` is a real directory: above is the one before it.
    const next = path.join(at, part);
    const facts = await lstat(next);
    if (!facts.isSymbolicLink()) {
      if (rest.length > 0 && !facts.isDirectory()) throw errorOf("ENOTDIR", next);
      at = next;
      continue;
    }
    links += 1;
    if (links > maxLinks) throw errorOf("ELOOP", next);
    const target = await readlink(next);
    if (target.startsWith("/")) at = "/";
    rest.unshift(...target.split("/").filter((each) => each !== "" && each !== "."));
  }
  return at;
}

function errorOf(code: "ENOTDIR" | "ELOOP", file: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${file}`), { code, path: file });
}

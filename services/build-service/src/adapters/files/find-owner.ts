/** `--chown` and WORKDIR's owner: names are looked up in the target's passwd and group. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { BuildFailure } from "../../domain/build-failure.ts";
import type { UnknownOwner } from "../../ports/file-work.ts";
import type { Owner } from "./copy-files.ts";
import { placeIn } from "./in-root.ts";

const maxFileBytes = 8 * 1024 * 1024;

/**
 * @param text `user`, `user:group`, `uid:gid`; a user brings the group of the same number or name
 * @param unknown what becomes of names that the tree doesn't have
 */
export function findOwner(root: string, text: string, unknown: UnknownOwner): Owner {
  if (text === "") return { uid: 0, gid: 0 };
  const colon = text.indexOf(":");
  const user = colon < 0 ? text : text.slice(0, colon);
  // To the classic builder a name alone is that of a group, too.
  const alone = unknown === "refuse" ? user : undefined;
  const group = colon < 0 ? alone : text.slice(colon + 1);
  const orUnknown = (id: number | undefined, kind: "user" | "group", name: string): number => {
    if (id !== undefined) return id;
    if (unknown === "root") return 0;
    if (unknown === "no tree") {
      if (name === "root" || name === "") return 0;
      throw new BuildFailure("invalid user index: -1");
    }
    const letter = kind[0] ?? "";
    const file = kind === "user" ? "/etc/passwd" : "/etc/group";
    const isThere = placeIn(root, file, true).stat !== undefined;
    const reason = isThere ? `no such ${kind}: ${name}` : `open ${file}: no such file or directory`;
    throw new BuildFailure(
      `unable to convert uid/gid chown string to host mapping: can't find ${letter}id for ${kind} ${name}: ${reason}`,
    );
  };
  const uid = orUnknown(numberOf(user) ?? idOf(root, "/etc/passwd", user), "user", user);
  if (group === undefined) return { uid, gid: groupOfUser(root, user, uid) };
  const gid = numberOf(group) ?? idOf(root, "/etc/group", group);
  // To BuildKit a group that is not there changes nothing of what the user brings.
  const own = unknown === "root" ? groupOfUser(root, user, uid) : undefined;
  return { uid, gid: orUnknown(gid ?? own, "group", group) };
}

function numberOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** For a number the group of the same number; for a name the user's own group. */
function groupOfUser(root: string, user: string, uid: number): number {
  if (numberOf(user) !== undefined) return uid;
  const line = linesOf(root, "/etc/passwd").find((each) => each[0] === user);
  return numberOf(line?.[3] ?? "") ?? uid;
}

function idOf(root: string, file: string, name: string): number | undefined {
  const line = linesOf(root, file).find((each) => each[0] === name);
  return numberOf(line?.[2] ?? "");
}

function linesOf(root: string, file: string): string[][] {
  const { path, stat } = placeIn(root, file, true);
  if (stat?.isFile() !== true) return [];
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (fstatSync(fd).size > maxFileBytes) throw new BuildFailure(`${file} is too large`);
    return readFileSync(fd, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } finally {
    closeSync(fd);
  }
}

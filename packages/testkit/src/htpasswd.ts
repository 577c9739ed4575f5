/** Password files as registries read them. */
import { randomBytes } from "node:crypto";
import { mustRun } from "./run.ts";

/** One line: a name and the bcrypt hash of its password (crypt(5)). */
export async function htpasswdLine(user: string, password: string): Promise<string> {
  // Salts are 22 letters, the last of them one of four.
  const settings = `$2y$04$${randomBytes(11).toString("hex").slice(1)}.`;
  const hash = await mustRun(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, settings]);
  return `${user}:${hash.stdout}\n`;
}

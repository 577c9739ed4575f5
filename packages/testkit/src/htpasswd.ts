/** Password files as registries read them. */
import { mustRun } from "./run.ts";

/** One line: a name and the bcrypt hash of its password. */
export async function htpasswdLine(user: string, password: string): Promise<string> {
  const script =
    "import crypt,sys; print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))";
  const hash = (await mustRun(["python3", "-W", "ignore", "-c", script, password])).stdout.trim();
  return `${user}:${hash.replace("$2b$", "$2y$")}\n`;
}

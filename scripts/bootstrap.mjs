// Runs under whatever Node the machine has: hands over to the pinned one, with a clean environment.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const node = path.join(root, `node_modules/node-linux-${process.arch}/bin/node`);
const [command, ...args] = process.argv.slice(2);
const env = {
  HOME: process.env.HOME ?? "/root",
  LANG: "C.UTF-8",
  PATH: `${path.dirname(node)}:${path.join(root, "node_modules/.bin")}:${process.env.PATH}`,
};
const run = spawnSync(node, [path.join(root, `scripts/${command}.ts`), ...args], {
  cwd: root,
  env,
  stdio: "inherit",
});
process.exit(run.status ?? 1);

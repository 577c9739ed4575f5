/** `npm run bench`: builds what is stale and runs the comparison with dockerd (see bench/). */
import "./lib/failure.ts";
import { buildAll } from "./lib/build.ts";
import { runCommand } from "./lib/command.ts";
import { linkTestedCli } from "./lib/docker-cli.ts";
import { node } from "./lib/repository.ts";

await buildAll();
await linkTestedCli();
process.exitCode = await runCommand([node, "bench/src/main.ts", ...process.argv.slice(2)]);

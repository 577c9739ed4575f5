/** `npm run test:deep`: all tests, with the long ones. */
import { runCommand } from "./lib/command.ts";
import { node } from "./lib/repository.ts";

const argv = [node, "scripts/test.ts", "--deep", ...process.argv.slice(2)];
process.exitCode = await runCommand(argv);

/** `npm run format`: formats sources and sorts imports. */
import "./lib/failure.ts";
import { mustRun } from "./lib/command.ts";
import { npmProgram } from "./lib/repository.ts";

await mustRun([npmProgram("biome"), "check", "--write", "."]);
await mustRun([npmProgram("buf"), "format", "--write"]);

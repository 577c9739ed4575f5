/** `npm run nats-url`: the URL, with credentials, of the NATS server that the engine publishes on. */
import "./lib/failure.ts";
import { loadConfig, readNatsUrl } from "@gantry/config";
import { complain, say } from "@gantry/logging";

const url = readNatsUrl(loadConfig());
if (url === undefined) {
  complain("the engine does not run, or has no NATS");
  process.exitCode = 1;
} else {
  say(url);
}

/** Answers for what this engine doesn't have, in Docker's words where it has some. */
import { invalidArgument, notFound, notImplemented, unavailable } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import type { Handler } from "../route.ts";

/** 501: to come in a later version. */
export function notYet(what: string): Handler {
  return () => {
    throw notImplemented(`${what} is not supported by this version of Gantry`);
  };
}

/** Checkpoints exist in experimental daemons only. */
export const experimentalOnly: Handler = () => {
  throw notImplemented(
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
  );
};

/** Everything of a swarm, on a node that is in none. */
export const notManager: Handler = () => {
  throw unavailable(
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
};

/** Leaving a swarm that one is not in. */
export const notInSwarm: Handler = () => {
  throw unavailable("This node is not part of a swarm");
};

/** There are no plugins. */
export function listNoPlugins(call: ApiCall): void {
  call.json([]);
}

/** A plugin by name: there is none. */
export const noSuchPlugin: Handler = ({ name }: ApiCall) => {
  throw notFound("plugin", name, `plugin "${name}" not found`);
};

/** An attestation of an image needs a newer API than the newest here; the row states the route. */
export const tooNew: Handler = () => {
  throw invalidArgument("this API version has no such endpoint");
};

/**
 * A gRPC client of the engine: creates a container, starts it, waits for its end, removes it.
 *
 *   node docs/examples/run-container.ts [socket [image [command…]]]
 *
 * The socket may be docker.sock, where all services are, or container-service's own. Any gRPC library
 * does the same with the contracts in proto/; this one uses the engine's own.
 */
import { say } from "@gantry/logging";
import { ContainerService } from "@gantry/proto/container";
import { openChannel } from "@gantry/rpc";

const [socket = "/run/gantry/docker.sock", image = "busybox", ...command] = process.argv.slice(2);

using channel = openChannel(socket);
const containers = channel.client(ContainerService);

const { id } = await containers.createContainer({
  config: { image, ...(command.length > 0 && { cmd: { values: command } }) },
  hostConfig: { networkMode: "none" },
});
say(`created ${id}`);

// Registered before the start, so that even the quickest end is seen.
const waiting = containers
  .waitContainer({ container: id, condition: "next-exit" })
  [Symbol.asyncIterator]();
await waiting.next();

await containers.startContainer({ container: id });
say("started");

const end = await waiting.next();
say(`exited with ${end.done === true ? "no answer" : end.value.exitCode}`);

await containers.removeContainer({ container: id });
say("removed");

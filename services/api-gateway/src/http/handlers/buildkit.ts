/** BuildKit's connections: the client's goes through to the builder, byte for byte. */
import { EngineError, invalidArgument } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { join } from "../hijack/join.ts";
import { connectOutput } from "../output.ts";
import type { Endpoint } from "../relay.ts";

/** POST /grpc: the builder serves. */
export async function openControl(call: ApiCall): Promise<void> {
  assertProtocol(call, (message) => new EngineError("internal", message));
  const { stream } = await call.backends.buildkit.openControl({}, { signal: call.signal });
  await handOver(call, stream);
}

/** POST /session: the client serves. */
export async function openSession(call: ApiCall): Promise<void> {
  assertProtocol(call, invalidArgument);
  const { stream } = await call.backends.buildkit.openSession(
    {
      id: call.header("x-docker-expose-session-uuid"),
      sharedKey: call.header("x-docker-expose-session-sharedkey"),
      methods: rawHeaders(call, "x-docker-expose-session-grpc-method"),
    },
    { signal: call.signal },
  );
  await handOver(call, stream);
}

/** dockerd's words for what isn't its protocol. */
function assertProtocol(call: ApiCall, refuse: (message: string) => EngineError): void {
  const protocol = call.header("upgrade");
  if (protocol === "") throw refuse("no upgrade proto in request");
  if (protocol !== "h2c") throw refuse(`protocol ${protocol} not supported`);
}

/** All values of a header, none joined with another. */
function rawHeaders({ request }: ApiCall, name: string): string[] {
  const { rawHeaders: raw } = request;
  return raw.filter((_value, i) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === name);
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

async function handOver(call: ApiCall, endpoint: Endpoint | undefined): Promise<void> {
  const { socket } = call.takeover;
  const output = await connectOutput(endpoint, call.signal);
  socket.write(switching);
  await join(socket, output, { input: true, connection: call.request.socket });
}

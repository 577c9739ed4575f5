/** GET /containers/{id}/attach/ws: the container's streams in binary messages, without framing. */
import { httpStatus, invalidArgument, toEngineError } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { opened } from "../encode/version-gates.ts";
import { writeRawText } from "../raw-answer.ts";
import { connectEndpoint } from "../relay.ts";
import { connectRun } from "./run-streams.ts";

/** Joins a websocket with the container's streams. */
export async function attachWebSocket(call: ApiCall): Promise<void> {
  if (call.header("upgrade").toLowerCase() !== "websocket") {
    await call.backends.containers.inspectContainer({ container: call.name });
    throw invalidArgument("this endpoint speaks websocket only");
  }
  const { socket } = call.takeover;
  const { query } = call;
  const all = !opened("attachWsStreams", call.version);
  const stdin = all || query.flag("stdin");
  try {
    const answer = await call.backends.containers.attachContainer({
      container: call.name,
      stdin,
      stdout: all || query.flag("stdout"),
      stderr: all || query.flag("stderr"),
      detachKeys: query.text("detachKeys"),
      stream: true,
      logs: query.flag("logs"),
    });
    const { stream: endpoint } = answer;
    // None where the run has ended meanwhile.
    const stream =
      endpoint &&
      (await connectRun(
        () => connectEndpoint(endpoint, call.signal),
        () => call.backends.containers.inspectContainer({ container: call.name }),
      ));
    const logs = answer.logs && (await connectEndpoint(answer.logs, call.signal));
    const { joinWebSocket } = await import("../hijack/websocket.ts");
    await joinWebSocket(call.request, socket, { stream, logs, framed: !answer.tty, stdin });
  } catch (error) {
    if (socket.writableEnded) throw error;
    const { kind, message } = toEngineError(error);
    writeRawText(socket, httpStatus(kind), message);
  }
}

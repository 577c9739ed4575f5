/** What Node keeps in a socket's handle: the only place that reaches for it. */
import type net from "node:net";

/** The parts of net.Socket's handle that are used. Stable for as long as Node has had streams, yet not documented. */
interface Handle {
  readonly fd?: number;
  readStart?(): void;
  readStop?(): void;
}

function handleOf(socket: net.Socket): Handle | undefined {
  const { _handle: handle } = socket as net.Socket & { _handle?: Handle | null };
  return handle ?? undefined;
}

/** The descriptor of a socket; undefined when it is closed. */
export function descriptorOf(socket: net.Socket): number | undefined {
  const fd = handleOf(socket)?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}

/** The same of a Unix socket. Others have none for us: below TLS are not the bytes that the client means. */
export function unixDescriptor(socket: net.Socket): number | undefined {
  return socket.remoteAddress === undefined ? descriptorOf(socket) : undefined;
}

/** Has Node read no more, from now on. False when it cannot be told so. */
export function stopReading(socket: net.Socket): boolean {
  const handle = handleOf(socket);
  if (handle?.readStop === undefined || handle.readStart === undefined) return false;
  handle.readStop();
  return true;
}

/** Has Node read again. */
export function startReading(socket: net.Socket): void {
  handleOf(socket)?.readStart?.();
}

export { type Channel, type ChannelOptions, openChannel, type RowsCaller } from "./channel.ts";
export {
  type ConnectDataOptions,
  connectData,
  type DataHandler,
  type DataListener,
  type DataListenerOptions,
  type DataTarget,
  openDataListener,
  ticketBytes,
} from "./data-plane.ts";
export { drained } from "./drained.ts";
export { encodeRow, listOfRows } from "./encoded-rows.ts";
export { type Implementation, implement } from "./implement.ts";
export { maxMessageBytes } from "./method-definition.ts";
export { reflect as reflector } from "./reflection.ts";
export { type GrpcServer, type ServeOptions, serveGrpc } from "./server.ts";
export type {
  CallContext,
  CallOptions,
  ClientMethod,
  Handler,
  Handlers,
  ServiceClient,
} from "./service-types.ts";
export {
  answers,
  placeSocket,
  removeSocket,
  type SocketAccess,
  socketInode,
} from "./socket-file.ts";

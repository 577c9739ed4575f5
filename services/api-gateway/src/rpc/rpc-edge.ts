/**
 * The gRPC edge: gRPC, gRPC-Web and Connect for every service, on HTTP/1.1 and HTTP/2.
 *
 * Everything of it is loaded at first use: who only runs `docker` pays nothing for it.
 */
import type http from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "@gantry/logging";
import type { BackendChannels } from "../backends.ts";
import type { SideDoor } from "../http/api-server.ts";
import type { Dispatcher } from "../http/dispatcher.ts";
import type { LoadedEdge } from "./loaded-edge.ts";

/** Options of RpcEdge. */
export interface RpcEdgeOptions {
  readonly channels: BackendChannels;
  readonly logger: Logger;
  /** Docker's API, which HTTP/2 clients may use, too. */
  readonly api: Dispatcher;
}

/** Loads and feeds the edge. */
export class RpcEdge implements SideDoor {
  readonly #options: RpcEdgeOptions;
  #loaded: Promise<LoadedEdge> | undefined;
  #closed = false;

  constructor(options: RpcEdgeOptions) {
    this.#options = options;
  }

  takes(url: string): boolean {
    return url.startsWith("/gantry.") || url.startsWith("/grpc.");
  }

  answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.#load().then(
      (edge) => {
        edge.answer(request, response);
      },
      (error: unknown) => {
        this.#failed(error);
        response.destroy();
      },
    );
  }

  /** Takes an HTTP/2 connection whose preface is still in the socket. */
  takeConnection(socket: Socket): void {
    this.#load().then(
      (edge) => {
        edge.takeConnection(socket);
      },
      (error: unknown) => {
        this.#failed(error);
        socket.destroy();
      },
    );
  }

  close(): void {
    this.#closed = true;
    void this.#loaded?.then((edge) => {
      edge.close();
    });
  }

  async #load(): Promise<LoadedEdge> {
    if (this.#closed) throw new Error("the gateway is closing");
    this.#loaded ??= import("./loaded-edge.ts").then(
      ({ LoadedEdge }) => new LoadedEdge(this.#options),
    );
    return await this.#loaded;
  }

  #failed(error: unknown): void {
    this.#options.logger.error({ err: error }, "gRPC edge could not be loaded");
  }
}

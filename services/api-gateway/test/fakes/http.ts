/** Raw HTTP for tests. */

import { once } from "node:events";
import http from "node:http";
import net from "node:net";

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  json(): any;
}

/** A question. */
export interface Question {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string | Buffer;
}

/** Asks on a connection of its own. */
export async function ask(socketPath: string, question: Question | string): Promise<Answer> {
  const q: Question = typeof question === "string" ? { path: question } : question;
  const bytes =
    q.body === undefined || typeof q.body === "string" || Buffer.isBuffer(q.body)
      ? q.body
      : JSON.stringify(q.body);
  const request = http.request({
    socketPath,
    method: q.method ?? "GET",
    path: q.path,
    headers: {
      host: "docker",
      ...(bytes !== undefined && { "content-type": "application/json" }),
      ...q.headers,
    },
    agent: false,
  });
  request.end(bytes);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    json: () => JSON.parse(body) as unknown,
  };
}

/** POST with a JSON body. */
export function post(socketPath: string, path: string, body?: object): Promise<Answer> {
  return ask(socketPath, { method: "POST", path, ...(body !== undefined && { body }) });
}

/** A raw connection that remembers what came. */
export class RawClient {
  readonly socket: net.Socket;
  #chunks: Buffer[] = [];
  #ended = false;

  #changed = Promise.withResolvers<undefined>();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
    socket.on("drain", () => {
      this.#wake();
    });
    // A connection that the server cut is what these tests look for.
    socket.on("error", () => undefined);
  }

  #wake(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when something came, went out, or ended. */
  changed(): Promise<undefined> {
    return this.#changed.promise;
  }

  static async connect(path: string): Promise<RawClient> {
    const socket = net.connect({ path, allowHalfOpen: true });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  get received(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Waits until what came satisfies the test. */
  async until(test: (text: string) => boolean): Promise<string> {
    while (!test(this.text)) {
      if (this.#ended) throw new Error(`connection ended after: ${JSON.stringify(this.text)}`);
      await this.changed();
    }
    return this.text;
  }

  /** Waits for the end, and returns everything. */
  async untilEnd(): Promise<string> {
    while (!this.#ended) await this.changed();
    return this.text;
  }
}

/** The part behind the head. */
export function bodyOf(text: string): string {
  return text.slice(text.indexOf("\r\n\r\n") + 4);
}

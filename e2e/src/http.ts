/** Raw HTTP over the engine's socket, for what the CLI would not send. */
import http from "node:http";
import path from "node:path";
import type { TestEngine } from "@gantry/testkit/test-engine";

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** The body as it came. */
  readonly bytes: Buffer;
}

/** One request and its whole answer. */
export interface Question {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON. */
  readonly body?: object | string | Uint8Array;
}

/** Asks and reads the whole answer. */
export async function ask(engine: TestEngine, question: Question): Promise<Answer> {
  const { body } = question;
  const bytes =
    body === undefined || typeof body === "string" || body instanceof Uint8Array
      ? body
      : JSON.stringify(body);
  return await new Promise((resolve, reject) => {
    const request = http.request(
      {
        socketPath: path.join(engine.runRoot, "docker.sock"),
        method: question.method ?? "GET",
        path: question.path,
        headers: {
          host: "docker",
          ...(bytes === undefined ? {} : { "content-type": "application/json" }),
          ...question.headers,
        },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const whole = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: whole.toString(),
            bytes: whole,
          });
        });
      },
    );
    request.on("error", reject);
    request.end(bytes);
  });
}

/** The `message` of an error answer, after checking that it has Docker's exact form. */
export function messageOf(answer: Answer): string {
  if (answer.headers["content-type"] !== "application/json")
    throw new Error(`error with content type ${String(answer.headers["content-type"])}`);
  const parsed = JSON.parse(answer.body) as { message?: unknown };
  if (typeof parsed.message !== "string") throw new Error(`error without message: ${answer.body}`);
  return parsed.message;
}

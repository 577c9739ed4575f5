/** The Engine API without the CLI, whose own start would hide a figure. */
import { request } from "node:http";
import type { Engine } from "./engine.ts";

/** One call of the Engine API; an answer of 400 or more is an error. */
export function call(engine: Engine, method: string, url: string, body?: unknown): Promise<void> {
  const socketPath = engine.dockerHost.replace(/^unix:\/\//, "");
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(text)),
  };
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path: `/v1.47${url}`, headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
      response.on("end", () => {
        if ((response.statusCode ?? 500) < 400) resolve();
        else reject(new Error(`${engine.name}: ${method} ${url}: ${answer}`));
      });
    });
    sent.on("error", reject);
    sent.end(text);
  });
}

/** `docker run hello-world`, with the image that can be had: pulled, else loaded from our own archive. */
import { say } from "@gantry/logging";
import { run } from "@gantry/testkit/run";
import { inRoot } from "./repository.ts";

const image = "hello-world";

/** A registry that does not answer must not hold up the start. */
const pullTimeoutMs = 30_000;

/** Runs the image and shows what it prints. */
export async function runHelloWorld(docker: string, socket: string): Promise<void> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: process.env["HOME"] ?? "/root",
    DOCKER_HOST: `unix://${socket}`,
  };
  const client = (args: readonly string[], timeoutMs: number) =>
    run([docker, ...args], { env, timeoutMs });
  const present = await client(["image", "inspect", image], 10_000);
  if (present.code !== 0) {
    const pulled = await client(["pull", image], pullTimeoutMs);
    if (pulled.code !== 0) {
      const reason = pulled.stderr.trim().split("\n").at(-1) ?? "";
      say(`cannot pull ${image} (${reason || "no answer"}): loading our own`);
      const loaded = await client(["load", "-i", inRoot("dist/hello-world.tar")], 60_000);
      if (loaded.code !== 0) throw new Error(`docker load: ${loaded.stderr}`);
    }
  }
  say(`$ docker run --rm ${image}`);
  const ran = await client(["run", "--rm", image], 60_000);
  say(ran.stdout.trimEnd());
  if (ran.code !== 0) throw new Error(`docker run: ${ran.stderr}`);
}

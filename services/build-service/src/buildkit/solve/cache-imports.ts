/** Caches that a client wants to be used. No build fails for one that can't be. */

import { invalidArgument, notImplemented } from "@gantry/errors";
import { nowNano } from "@gantry/events";
import { parseDigest } from "@gantry/oci";
import type { Builder } from "../../ports/build.ts";
import type { PullStep } from "../../ports/layers.ts";
import type { ProgressSink } from "../../ports/progress.ts";
import { asVertex, type OwnVertex } from "../progress/own-vertex.ts";
import { ClientStore } from "../session/content-store.ts";
import { findCredential } from "../session/lent.ts";
import type { SessionRegistry } from "../session/session-registry.ts";

/** A cache as the client names it. */
interface NamedCache {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** The build that wants it. */
interface ImportingBuild {
  readonly ref: string;
  readonly sessionId: string;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Takes over what can be. The display tells why another can't. */
export async function importCaches(
  tools: { readonly builder: Builder; readonly sessions: SessionRegistry },
  build: ImportingBuild,
  caches: readonly NamedCache[],
): Promise<void> {
  await Promise.all(
    caches.map(async (cache) => {
      const { type, attrs } = cache;
      const name = `importing cache manifest from ${attrs["ref"] ?? attrs["src"] ?? type}`;
      const work = (vertex: OwnVertex): Promise<void> => importOne(tools, build, cache, vertex);
      // The vertex has the error.
      await asVertex(build.progress, { key: `${build.ref} ${name}`, name }, work).catch(
        () => undefined,
      );
    }),
  );
}

async function importOne(
  { builder, sessions }: Parameters<typeof importCaches>[0],
  { sessionId, signal }: ImportingBuild,
  { type, attrs }: NamedCache,
  vertex: OwnVertex,
): Promise<void> {
  const session = sessionId === "" ? undefined : await sessions.get(sessionId, signal);
  if (type === "registry") {
    const source = {
      kind: "registry",
      reference: attrs["ref"] ?? "",
      credential: (host: string) => findCredential(session, host, signal),
      onPull: pullLines(vertex),
    } as const;
    await builder.importCache(source, signal);
  } else if (type === "local") {
    if (session === undefined) throw invalidArgument("a client's cache needs its session");
    const { src = "", digest = "" } = attrs;
    const store = new ClientStore(session, `local:${src}`);
    const read = (each: string, until: AbortSignal) => store.read(each, until);
    const source = { kind: "blobs", name: src, digest: parseDigest(digest), read } as const;
    await builder.importCache(source, signal);
  } else throw notImplemented(`cache import of type ${type} is not supported`);
}

/** Progress of a pull as lines of a vertex. */
function pullLines(vertex: OwnVertex): (step: PullStep) => void {
  const startedNano = nowNano();
  return ({ id, status, current, total }) => {
    if (id === "") return;
    const completedNano = /complete|exists/i.test(status) ? nowNano() : undefined;
    vertex.status({ id, name: status, current, total, startedNano, completedNano });
  };
}

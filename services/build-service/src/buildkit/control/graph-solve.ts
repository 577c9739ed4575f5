/** A solve of a graph that the client made itself. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { Definition, gateway } from "@gantry/proto/buildkit";
import { findSecret } from "../session/lent.ts";
import type { Session } from "../session/session.ts";
import { clientGraph, type GraphFiles } from "../solve/client-graph.ts";
import { contextAt, type RemoteContext } from "../solve/remote-context.ts";
import type { Bridge } from "./bridge.ts";
import type { SolveTools } from "./dockerfile-solve.ts";
import type { Job } from "./job.ts";

/** Answers with a reference to its files, which are made when somebody asks for them. */
export async function solveGraph(
  tools: SolveTools,
  { job, bridge }: { readonly job: Job; readonly bridge: Bridge },
  { definition, evaluate }: gateway.SolveRequest,
): Promise<MessageInitShape<typeof gateway.SolveResponseSchema>> {
  if (definition === undefined) throw invalidArgument("no definition and no frontend");
  const files = await graphFiles(tools, job, definition);
  if (evaluate) await files.root();
  const id = bridge.addGraph(files);
  return { result: { result: { case: "ref", value: { id, def: definition } } } };
}

/** Its files as a build's context. */
export async function graphContext(
  tools: SolveTools,
  job: Job,
  definition: Definition,
): Promise<RemoteContext> {
  const files = await graphFiles(tools, job, definition);
  return contextAt(tools.remote, await files.root());
}

/** Kept until the job ends. */
async function graphFiles(
  { remote, sessions, agents }: SolveTools,
  job: Job,
  definition: Definition,
): Promise<GraphFiles> {
  const { sessionId, progress, signal } = job;
  const session: Session | undefined =
    sessionId === "" ? undefined : await sessions.get(sessionId, signal);
  const secret = (id: string): Promise<Uint8Array | undefined> => findSecret(session, id, signal);
  const agent = (id: string) => agents.open(session, id, signal);
  return job.keep(clientGraph(remote, definition, { progress, secret, agent, signal }));
}

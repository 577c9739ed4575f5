/** BuildKit's API in front of the builder: what is called for each connection that a client opens. */

import path from "node:path";
import type { Duplex } from "node:stream";
import type { Logger } from "@gantry/logging";
import type { GcRule } from "../app/gc-policy.ts";
import type { Builder } from "../ports/build.ts";
import type { WorkerFacts } from "../ports/worker-facts.ts";
import type { KeptTrees } from "./contexts/kept-trees.ts";
import { SharedTrees } from "./contexts/shared-trees.ts";
import { ResultRefs } from "./control/bridge.ts";
import { registerBridge } from "./control/bridge-service.ts";
import { CacheView } from "./control/cache-view.ts";
import { registerControl } from "./control/control-service.ts";
import { Jobs } from "./control/job.ts";
import { type RestBuild, type RestEvent, restBuild } from "./control/rest-build.ts";
import { BuildHistory } from "./history/build-history.ts";
import { AgentSockets } from "./session/agent-sockets.ts";
import type { SessionIntroduction } from "./session/session.ts";
import { SessionRegistry } from "./session/session-registry.ts";
import type { ImagePusher } from "./solve/export-context.ts";
import type { RemoteTools } from "./solve/remote-context.ts";
import { WireServer } from "./wire/server.ts";

/** Options of openBuildkit. */
export interface BuildkitOptions {
  readonly builder: Builder;
  readonly pusher: ImagePusher;
  /** Where received contexts are kept. */
  readonly trees: KeptTrees;
  /** For contexts that are not directories of clients. */
  readonly remote: RemoteTools;
  /** Rules by which the cache is trimmed. */
  readonly policy: readonly GcRule[];
  readonly facts: WorkerFacts;
  /** Folder of the service that is gone after a reboot. */
  readonly runDir: string;
  /** Where builds that have ended are remembered. */
  readonly historyDir: string;
  readonly logger: Logger;
}

/** The front. */
export interface BuildkitFront {
  /** Serves the control connection of a client. Resolves when it is closed. */
  serveControl(connection: Duplex): Promise<void>;
  /** Throws invalid_argument where a session of that ID can't be opened. */
  assertSessionFree(id: string): void;
  /** Opens a session on a connection whose client serves. Resolves when it is closed. */
  serveSession(introduction: SessionIntroduction, connection: Duplex): Promise<void>;
  /** A build that comes over Docker's own API. */
  restBuild(build: RestBuild, signal: AbortSignal): AsyncGenerator<RestEvent>;
  /** Open sessions, for builds that come another way. */
  readonly sessions: SessionRegistry;
  /** Cuts all connections. */
  close(): void;
}

/** Opens the front. */
export function openBuildkit(options: BuildkitOptions): BuildkitFront {
  const { builder, pusher, trees, remote, policy, facts, logger } = options;
  const sessions = new SessionRegistry();
  const agents = new AgentSockets(path.join(options.runDir, "ssh"));
  const jobs = new Jobs();
  const refs = new ResultRefs();
  const history = new BuildHistory(options.historyDir, logger);
  const tools = { builder, sessions, trees, shared: new SharedTrees(), agents, remote };
  const server = new WireServer({
    logger,
    routes: (router) => {
      const cache = new CacheView(builder);
      registerControl(router, { jobs, refs, tools, pusher, history, cache, policy, facts });
      registerBridge(router, { jobs, refs, tools, facts });
    },
  });
  return {
    serveControl: (connection) => server.serve(connection),
    assertSessionFree(id) {
      sessions.assertFree(id);
    },
    serveSession: (introduction, connection) => sessions.open(introduction, connection).closed,
    restBuild: (build, signal) => restBuild({ jobs, refs, tools, pusher, history }, build, signal),
    sessions,
    close() {
      server.close();
      sessions.close();
    },
  };
}

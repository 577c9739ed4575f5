import { attachWebSocket } from "../handlers/attach-ws.ts";
import {
  createContainer,
  killContainer,
  pauseContainer,
  pruneContainers,
  removeContainer,
  renameContainer,
  restartContainer,
  startContainer,
  stopContainer,
  unpauseContainer,
  updateContainer,
} from "../handlers/container-lifecycle.ts";
import {
  containerStats,
  inspectContainer,
  listChanges,
  listContainers,
  resizeContainer,
  topContainer,
  waitContainer,
} from "../handlers/container-read.ts";
import {
  attachContainer,
  containerLogs,
  exportContainer,
  getArchive,
  putArchive,
  statArchive,
} from "../handlers/container-streams.ts";
import { experimentalOnly } from "../handlers/refusals.ts";
import { del, get, head, post, put, type Route } from "../route.ts";

export const containerRoutes: readonly Route[] = [
  get("/containers/json", listContainers),
  post("/containers/create", createContainer),
  get("/containers/{name}/json", inspectContainer),
  get("/containers/{name}/top", topContainer),
  get("/containers/{name}/logs", containerLogs),
  get("/containers/{name}/changes", listChanges),
  get("/containers/{name}/export", exportContainer),
  get("/containers/{name}/stats", containerStats),
  post("/containers/{name}/resize", resizeContainer),
  post("/containers/{name}/start", startContainer),
  post("/containers/{name}/stop", stopContainer),
  post("/containers/{name}/restart", restartContainer),
  post("/containers/{name}/kill", killContainer),
  post("/containers/{name}/update", updateContainer),
  post("/containers/{name}/rename", renameContainer),
  post("/containers/{name}/pause", pauseContainer),
  post("/containers/{name}/unpause", unpauseContainer),
  post("/containers/{name}/attach", attachContainer, { hijacks: true }),
  get("/containers/{name}/attach/ws", attachWebSocket, { hijacks: true }),
  post("/containers/{name}/wait", waitContainer),
  del("/containers/{name}", removeContainer),
  head("/containers/{name}/archive", statArchive),
  get("/containers/{name}/archive", getArchive),
  put("/containers/{name}/archive", putArchive),
  post("/containers/prune", pruneContainers, { since: 25 }),
  get("/containers/{name}/checkpoints", experimentalOnly, { since: 25, scope: "not yet" }),
  post("/containers/{name}/checkpoints", experimentalOnly, { since: 25, scope: "not yet" }),
  del("/containers/{name}/checkpoints/{checkpoint}", experimentalOnly, {
    since: 25,
    scope: "not yet",
  }),
];

/** A swarm this engine is never part of: every row answers so, in Docker's words. */
import { notInSwarm, notManager, notYet } from "../handlers/refusals.ts";
import { del, get, type Handler, post, type Route, type RowOptions } from "../route.ts";

const swarm = notYet("swarm mode");
const none = (since = 24): RowOptions => ({ since, scope: "not yet" });

export const swarmRoutes: readonly Route[] = [
  get("/swarm", notManager, none()),
  post("/swarm/init", swarm, none()),
  post("/swarm/join", swarm, none()),
  post("/swarm/leave", notInSwarm, none()),
  post("/swarm/update", notManager, none()),
  get("/swarm/unlockkey", notManager, none(25)),
  post("/swarm/unlock", notManager, none(25)),
  get("/nodes", notManager, none()),
  get("/nodes/{id}", notManager, none()),
  del("/nodes/{id}", notManager, none()),
  post("/nodes/{id}/update", notManager, none()),
  get("/services", notManager, none()),
  post("/services/create", notManager, none()),
  get("/services/{id}", notManager, none()),
  del("/services/{id}", notManager, none()),
  post("/services/{id}/update", notManager, none()),
  get("/services/{id}/logs", notManager, none(25)),
  get("/tasks", notManager, none()),
  get("/tasks/{id}", notManager, none()),
  get("/tasks/{id}/logs", notManager, none(29)),
  ...objects("secrets", notManager, 25),
  ...objects("configs", notManager, 30),
];

function objects(group: string, handler: Handler, since: number): Route[] {
  return [
    get(`/${group}`, handler, none(since)),
    post(`/${group}/create`, handler, none(since)),
    get(`/${group}/{id}`, handler, none(since)),
    del(`/${group}/{id}`, handler, none(since)),
    post(`/${group}/{id}/update`, handler, none(Math.max(since, 26))),
  ];
}

/** A swarm this engine is never part of: every row answers so, in Docker's words. */
import {
  notInSwarm,
  notManager,
  notManagerOfObject,
  notManagerOfVersion,
  notYet,
} from "../handlers/refusals.ts";
import { del, get, post, type Route, type RowOptions } from "../route.ts";

const swarm = notYet("swarm mode");
const none = (since = 24): RowOptions => ({ since });
const later: RowOptions = { scope: "not yet" };

export const swarmRoutes: readonly Route[] = [
  get("/swarm", notManager, none()),
  post("/swarm/init", swarm, later),
  post("/swarm/join", swarm, later),
  post("/swarm/leave", notInSwarm, none()),
  post("/swarm/update", notManagerOfVersion("swarm"), none()),
  get("/swarm/unlockkey", notManager, none(25)),
  post("/swarm/unlock", notManager, none(25)),
  get("/nodes", notManager, none()),
  get("/nodes/{id}", notManager, none()),
  del("/nodes/{id}", notManager, none()),
  post("/nodes/{id}/update", notManagerOfVersion("node"), none()),
  get("/services", notManager, none()),
  post("/services/create", notManager, none()),
  get("/services/{id}", notManager, none()),
  del("/services/{id}", notManager, none()),
  post("/services/{id}/update", notManagerOfVersion("service"), none()),
  get("/services/{id}/logs", notManager, none(25)),
  get("/tasks", notManager, none()),
  get("/tasks/{id}", notManager, none()),
  get("/tasks/{id}/logs", notManager, none(29)),
  ...objects("secret", 25),
  ...objects("config", 30),
];

function objects(noun: string, since: number): Route[] {
  const group = `/${noun}s`;
  return [
    get(group, notManager, none(since)),
    post(`${group}/create`, notManager, none(since)),
    get(`${group}/{id}`, notManager, none(since)),
    del(`${group}/{id}`, notManager, none(since)),
    post(`${group}/{id}/update`, notManagerOfObject(noun), none(Math.max(since, 26))),
  ];
}

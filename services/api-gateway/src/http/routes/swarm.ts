/** A swarm this engine is never part of: every row answers so, in Docker's words. */
import {
  joinNoSwarm,
  makeNoSwarm,
  notInSwarm,
  notManager,
  notManagerOfList,
  notManagerOfLogs,
  notManagerOfNew,
  notManagerOfObject,
  notManagerOfService,
  notManagerOfServices,
  notManagerOfSwarm,
  notManagerOfVersion,
} from "../handlers/refusals.ts";
import { del, get, post, type Route, type RowOptions } from "../route.ts";

const none = (since = 24): RowOptions => ({ since });

export const swarmRoutes: readonly Route[] = [
  get("/swarm", notManager, none()),
  post("/swarm/init", makeNoSwarm, none()),
  post("/swarm/join", joinNoSwarm, none()),
  post("/swarm/leave", notInSwarm, none()),
  post("/swarm/update", notManagerOfSwarm, none()),
  get("/swarm/unlockkey", notManager, none(25)),
  post("/swarm/unlock", notManagerOfNew("swarm.UnlockRequest"), none(25)),
  get("/nodes", notManagerOfList, none()),
  get("/nodes/{id}", notManager, none()),
  del("/nodes/{id}", notManager, none()),
  post("/nodes/{id}/update", notManagerOfVersion("node", "swarm.NodeSpec"), none()),
  get("/services", notManagerOfServices, none()),
  post("/services/create", notManagerOfNew("swarm.ServiceSpec"), none()),
  get("/services/{id}", notManagerOfService, none()),
  del("/services/{id}", notManager, none()),
  post("/services/{id}/update", notManagerOfVersion("service", "swarm.ServiceSpec"), none()),
  get("/services/{id}/logs", notManagerOfLogs, none(25)),
  get("/tasks", notManagerOfList, none()),
  get("/tasks/{id}", notManager, none()),
  get("/tasks/{id}/logs", notManagerOfLogs, none(29)),
  ...objects("secret", 25, "swarm.SecretSpec"),
  ...objects("config", 30, "swarm.ConfigSpec"),
];

function objects(noun: string, since: number, goType: string): Route[] {
  const group = `/${noun}s`;
  return [
    get(group, notManagerOfList, none(since)),
    post(`${group}/create`, notManagerOfNew(goType), none(since)),
    get(`${group}/{id}`, notManager, none(since)),
    del(`${group}/{id}`, notManager, none(since)),
    post(`${group}/{id}/update`, notManagerOfObject(noun, goType), none(Math.max(since, 26))),
  ];
}

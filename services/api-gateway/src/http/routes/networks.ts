import {
  connectNetwork,
  createNetwork,
  disconnectNetwork,
  inspectNetwork,
  listNetworks,
  pruneNetworks,
  removeNetwork,
} from "../handlers/networks.ts";
import { del, get, post, type Route } from "../route.ts";

export const networkRoutes: readonly Route[] = [
  get("/networks", listNetworks),
  get("/networks/", listNetworks),
  get("/networks/{name}", inspectNetwork),
  del("/networks/{name}", removeNetwork),
  post("/networks/create", createNetwork),
  post("/networks/{name}/connect", connectNetwork),
  post("/networks/{name}/disconnect", disconnectNetwork),
  post("/networks/prune", pruneNetworks, { since: 25 }),
];

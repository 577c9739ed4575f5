import {
  createNoPlugin,
  enableNoPlugin,
  installNoPlugin,
  listNoPlugins,
  noSuchPlugin,
  pullNoPlugin,
  setNoPlugin,
  upgradeNoPlugin,
} from "../handlers/refusals.ts";
import { del, get, post, type Route } from "../route.ts";

export const pluginRoutes: readonly Route[] = [
  get("/plugins", listNoPlugins),
  get("/plugins/privileges", installNoPlugin, { since: 25, scope: "not yet" }),
  post("/plugins/pull", pullNoPlugin, { scope: "not yet" }),
  get("/plugins/{name}/json", noSuchPlugin, { since: 25 }),
  del("/plugins/{name}", noSuchPlugin),
  post("/plugins/{name}/enable", enableNoPlugin),
  post("/plugins/{name}/disable", noSuchPlugin),
  post("/plugins/{name}/upgrade", upgradeNoPlugin, { since: 26 }),
  post("/plugins/create", createNoPlugin, { since: 25, scope: "not yet" }),
  post("/plugins/{name}/push", noSuchPlugin, { since: 25 }),
  post("/plugins/{name}/set", setNoPlugin, { since: 25 }),
];

import {
  enableNoPlugin,
  listNoPlugins,
  noSuchPlugin,
  notYet,
  setNoPlugin,
  upgradeNoPlugin,
} from "../handlers/refusals.ts";
import { del, get, post, type Route } from "../route.ts";

const plugins = notYet("installing plugins");

export const pluginRoutes: readonly Route[] = [
  get("/plugins", listNoPlugins),
  get("/plugins/privileges", plugins, { since: 25, scope: "not yet" }),
  post("/plugins/pull", plugins, { scope: "not yet" }),
  get("/plugins/{name}/json", noSuchPlugin, { since: 25 }),
  del("/plugins/{name}", noSuchPlugin),
  post("/plugins/{name}/enable", enableNoPlugin),
  post("/plugins/{name}/disable", noSuchPlugin),
  post("/plugins/{name}/upgrade", upgradeNoPlugin, { since: 26 }),
  post("/plugins/create", plugins, { since: 25, scope: "not yet" }),
  post("/plugins/{name}/push", noSuchPlugin, { since: 25 }),
  post("/plugins/{name}/set", setNoPlugin, { since: 25 }),
];

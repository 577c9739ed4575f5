/** The whole API. */
import type { Route } from "../route.ts";
import { buildRoutes } from "./build.ts";
import { containerRoutes } from "./containers.ts";
import { debugRoutes } from "./debug.ts";
import { execRoutes } from "./exec.ts";
import { imageRoutes } from "./images.ts";
import { networkRoutes } from "./networks.ts";
import { pluginRoutes } from "./plugins.ts";
import { swarmRoutes } from "./swarm.ts";
import { systemRoutes } from "./system.ts";
import { volumeRoutes } from "./volumes.ts";

export const allRoutes: readonly Route[] = [
  ...systemRoutes,
  ...containerRoutes,
  ...execRoutes,
  ...imageRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...pluginRoutes,
  ...buildRoutes,
  ...swarmRoutes,
  ...debugRoutes,
];

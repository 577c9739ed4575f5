import {
  createVolume,
  inspectVolume,
  listVolumes,
  namelessVolume,
  pruneVolumes,
  removeVolume,
  updateVolume,
} from "../handlers/volumes.ts";
import { del, get, post, put, type Route } from "../route.ts";

export const volumeRoutes: readonly Route[] = [
  get("/volumes", listVolumes),
  post("/volumes/create", createVolume),
  get("/volumes/", namelessVolume),
  del("/volumes/", namelessVolume),
  get("/volumes/{name}", inspectVolume),
  put("/volumes/{name}", updateVolume, { since: 42 }),
  del("/volumes/{name}", removeVolume),
  post("/volumes/prune", pruneVolumes, { since: 25 }),
];

import {
  createImage,
  loadImages,
  pushImage,
  saveImage,
  saveImages,
} from "../handlers/image-streams.ts";
import {
  commitContainer,
  imageHistory,
  inspectImage,
  listImages,
  pruneImages,
  removeImage,
  searchImages,
  tagImage,
} from "../handlers/images.ts";
import { tooNew } from "../handlers/refusals.ts";
import { del, get, post, type Route } from "../route.ts";

export const imageRoutes: readonly Route[] = [
  get("/images/json", listImages),
  post("/images/create", createImage),
  get("/images/{name}/json", inspectImage),
  get("/images/{name}/attestations", tooNew, { since: 55, scope: "not yet" }),
  get("/images/{name}/history", imageHistory),
  post("/images/{name}/push", pushImage),
  post("/images/{name}/tag", tagImage),
  del("/images/{name}", removeImage),
  get("/images/search", searchImages),
  post("/images/prune", pruneImages, { since: 25 }),
  get("/images/{name}/get", saveImage),
  get("/images/get", saveImages),
  post("/images/load", loadImages),
  post("/commit", commitContainer),
];

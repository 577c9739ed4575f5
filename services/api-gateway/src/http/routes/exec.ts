import { createExec, inspectExec, resizeExec, startExec } from "../handlers/exec.ts";
import { get, post, type Route } from "../route.ts";

export const execRoutes: readonly Route[] = [
  post("/containers/{name}/exec", createExec),
  post("/exec/{name}/start", startExec, { hijacks: true }),
  post("/exec/{name}/resize", resizeExec),
  get("/exec/{name}/json", inspectExec),
];

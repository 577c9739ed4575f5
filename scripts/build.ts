/** `npm run build`: brings generated code, native programs, addon and bundles up to date. */
import "./lib/failure.ts";
import { buildAll } from "./lib/build.ts";

await buildAll();

/** `keeper.ts <roots>`: the owner of these roots has died without closing them. See roots-owner.ts. */
import { cleanAbandoned } from "./abandoned-roots.ts";
import { listRoots } from "./roots-owner.ts";

for (const owned of listRoots()) if (owned.root === process.argv[2]) await cleanAbandoned(owned);

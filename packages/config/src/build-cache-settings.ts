/** `builder` in daemon.json: what the build cache may use. */
import type { JsonReader } from "./json-reader.ts";
import type { BuildCacheRule, BuildCacheSettings, CacheBounds } from "./settings.ts";
import { parseSizeBytes } from "./value-syntax.ts";

const dockers: BuildCacheSettings = {
  enabled: true,
  bounds: { reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0 },
  rules: undefined,
};

/** Reads the key; what is not given is as Docker has it. */
export function readBuildCache(reader: JsonReader): BuildCacheSettings {
  const builder = reader.object("builder", (item) => {
    // Entitlements are asked for by builds; builds are not remembered.
    item.ignore("entitlements", "history", "History");
    return item.object("gc", readGc) ?? dockers;
  });
  return builder ?? dockers;
}

function readGc(item: JsonReader): BuildCacheSettings {
  return {
    enabled: item.flag("enabled") ?? true,
    bounds: readBounds(item, {
      reserved: ["defaultReservedSpace", "defaultKeepStorage"],
      maxUsed: "defaultMaxUsedSpace",
      minFree: "defaultMinFreeSpace",
    }),
    rules: item.objects("policy", readRule),
  };
}

function readRule(item: JsonReader): BuildCacheRule {
  const filters = item.texts("filter") ?? [];
  for (const each of filters) {
    if (!each.includes("=")) item.problem("filter", `${JSON.stringify(each)} is not key=value`);
  }
  const names = {
    reserved: ["reservedSpace", "keepStorage"],
    maxUsed: "maxUsedSpace",
    minFree: "minFreeSpace",
  } as const;
  return { all: item.flag("all") ?? false, filters, ...readBounds(item, names) };
}

/** @param names the second name of the reserved space is the older one */
function readBounds(
  item: JsonReader,
  names: {
    readonly reserved: readonly [string, string];
    readonly maxUsed: string;
    readonly minFree: string;
  },
): CacheBounds {
  const [newer, older] = names.reserved.map((name) => size(item, name));
  return {
    reservedBytes: newer ?? older ?? 0,
    maxUsedBytes: size(item, names.maxUsed) ?? 0,
    minFreeBytes: size(item, names.minFree) ?? 0,
  };
}

function size(item: JsonReader, key: string): number | undefined {
  const text = item.text(key);
  if (text === undefined || text === "") return undefined;
  return parseSizeBytes(text) ?? item.problem(key, `${JSON.stringify(text)} is not a size`);
}

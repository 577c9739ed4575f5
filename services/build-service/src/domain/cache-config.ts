/**
 * A cache that travels with an image, in BuildKit's form:
 *
 *   { "layers":  [{ "blob": "sha256:…", "parent": -1 | index }],
 *     "records": [{ "digest": "sha256:<key>", "layers": [{ "layer": index, "createdAt": "…" }],
 *                   "gantry.of": "sha256:<key>" }] }
 *
 * A record's key holds all that it depends on, so it needs no `inputs`. `gantry.of` marks a further key
 * of a result: children know the result by that other one. BuildKit reads such a cache without finding
 * anything in it, and so do we with BuildKit's.
 */

/** Where an image's config keeps its cache, as base64. */
export const inlineCacheField = "moby.buildkit.cache.v0";

/**
 * `artifactType` of a cache by itself: an OCI index of manifests, one for each chain of layers, whose
 * configs have that field and are no configs of images otherwise. Registries and folders keep the same.
 */
export const cacheIndexType = "application/vnd.gantry.build-cache.v1";

/** A result that is one of the layers. */
export interface CachedLayer {
  /** Key by which children know the result. */
  readonly key: string;
  /** All keys that find it, that one among them. */
  readonly keys: readonly string[];
  /** Place of its layer, the lowest is 0. */
  readonly layer: number;
  readonly createdNano: bigint;
}

const nanoPerMilli = 1_000_000n;

/** The text for an image's config. @param blobs digests of the layers, the lowest first */
export function writeInlineCache(
  blobs: readonly string[],
  results: readonly CachedLayer[],
): string {
  const records = results.flatMap(({ key, keys, layer, createdNano }) =>
    keys.map((each) => ({
      digest: `sha256:${each}`,
      layers: [{ layer, createdAt: new Date(Number(createdNano / nanoPerMilli)).toISOString() }],
      ...(each !== key && { "gantry.of": `sha256:${key}` }),
    })),
  );
  const layers = blobs.map((blob, index) => ({ blob, parent: index - 1 }));
  return Buffer.from(JSON.stringify({ layers, records })).toString("base64");
}

/** What an image's config tells; records that we can't use are passed over. Throws for what is no cache. */
export function readInlineCache(text: string, layerCount: number): CachedLayer[] {
  const told: unknown = JSON.parse(Buffer.from(text, "base64").toString("utf8"));
  const records = recordsOf(told);
  const results = new Map<string, { layer: number; createdNano: bigint; keys: string[] }>();
  for (const record of records) {
    const digest = keyIn(record["digest"]);
    const place = placeIn(record["layers"]);
    if (digest === undefined || place === undefined || place.layer >= layerCount) continue;
    const key = record["gantry.of"] === undefined ? digest : keyIn(record["gantry.of"]);
    if (key === undefined) continue;
    const known = results.get(key) ?? { ...place, keys: [] };
    known.keys.push(digest);
    results.set(key, known);
  }
  return [...results].map(([key, result]) => ({ key, ...result }));
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function recordsOf(told: unknown): Json[] {
  const records = isObject(told) ? (told["records"] ?? []) : undefined;
  if (!Array.isArray(records)) throw new SyntaxError("no records in the cache");
  return records.filter(isObject);
}

function keyIn(value: unknown): string | undefined {
  return typeof value === "string" ? /^sha256:([0-9a-f]{64})$/.exec(value)?.[1] : undefined;
}

function placeIn(value: unknown): { layer: number; createdNano: bigint } | undefined {
  const [first] = Array.isArray(value) ? (value as unknown[]) : [];
  if (!isObject(first)) return undefined;
  const { layer, createdAt } = first as { layer?: unknown; createdAt?: unknown };
  if (typeof layer !== "number" || !Number.isInteger(layer) || layer < 0) return undefined;
  const createdMs = typeof createdAt === "string" ? Date.parse(createdAt) : Number.NaN;
  return { layer, createdNano: BigInt(Number.isNaN(createdMs) ? 0 : createdMs) * nanoPerMilli };
}

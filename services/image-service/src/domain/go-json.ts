/** What Go's decoder says of JSON whose values are of other types than it wants. */

/** A Go type, as far as documents of archives have one. */
export interface GoType {
  /** As Go writes it. */
  readonly name: string;
  readonly kind?: "string" | "number";
  /** Of a slice. */
  readonly items?: GoType;
  /** Of a struct; members that it does not name are passed over. */
  readonly fields?: Readonly<Record<string, GoType>>;
  /** What a place inside begins with: a struct's own name, empty where it has none. */
  readonly root?: string;
}

/** Undefined: the value fits. A null fits everywhere: Go leaves what it stands for as it is. */
export function goMismatch(value: unknown, type: GoType): string | undefined {
  return mismatch(value, type, [type.root ?? ""]);
}

function mismatch(
  value: unknown,
  type: GoType,
  place: readonly (string | number)[],
): string | undefined {
  if (value === null || value === undefined) return undefined;
  const { items, fields } = type;
  if (items !== undefined && Array.isArray(value)) {
    return first(value, (each, index) => mismatch(each, items, [...place, index]));
  }
  if (fields !== undefined && typeof value === "object" && !Array.isArray(value)) {
    const members = value as Readonly<Record<string, unknown>>;
    return first(Object.entries(fields), ([name, field]) =>
      mismatch(members[name], field, [...place, name]),
    );
  }
  if (type.kind !== undefined && typeof value === type.kind) return undefined;
  return `json: cannot unmarshal ${goKind(value)} into ${placeOf(place)} of type ${type.name}`;
}

function first<T>(
  items: readonly T[],
  problemOf: (item: T, index: number) => string | undefined,
): string | undefined {
  for (const [index, item] of items.entries()) {
    const problem = problemOf(item, index);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function placeOf(place: readonly (string | number)[]): string {
  if (place.length === 1) return "Go value";
  const path = place.join(".");
  return typeof place.at(-1) === "number" ? path : `Go struct field ${path}`;
}

/** What Go calls a JSON value's type. */
function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

const text: GoType = { name: "string", kind: "string" };
const integer = (name: string): GoType => ({ name, kind: "number" });
const listOf = (items: GoType): GoType => ({ name: `[]${items.name}`, items });

const archivedImage: GoType = {
  name: "struct { Config string; RepoTags []string; Layers []string }",
  fields: { Config: text, RepoTags: listOf(text), Layers: listOf(text) },
};

const descriptor: GoType = {
  name: "v1.Descriptor",
  fields: {
    mediaType: text,
    digest: { name: "digest.Digest", kind: "string" },
    size: integer("int64"),
  },
};

/** The types of an archive's documents in Docker. */
export const goTypes = {
  archivedImages: listOf(archivedImage),
  layout: { name: "v1.ImageLayout", root: "ImageLayout", fields: { imageLayoutVersion: text } },
  index: {
    name: "v1.Index",
    root: "Index",
    fields: { schemaVersion: integer("int"), mediaType: text, manifests: listOf(descriptor) },
  },
  /** What a manifest or index is looked at as first. */
  unknownDocument: { name: "images.unknownDocument", root: "unknownDocument", fields: {} },
  manifest: {
    name: "v1.Manifest",
    root: "Manifest",
    fields: {
      schemaVersion: integer("int"),
      mediaType: text,
      config: descriptor,
      layers: listOf(descriptor),
    },
  },
  platform: {
    name: "v1.Platform",
    root: "Platform",
    fields: { architecture: text, os: text, variant: text, "os.version": text },
  },
} satisfies Readonly<Record<string, GoType>>;

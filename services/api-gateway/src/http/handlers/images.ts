/** Handlers of images that answer at once. */
import { fromBinary } from "@bufbuild/protobuf";
import { EngineError, hasKind, internal, invalidArgument, isEngineError } from "@gantry/errors";
import { scanJson } from "@gantry/oci";
import type { Container } from "@gantry/proto/container";
import { ImageSchema } from "@gantry/proto/image";
import type { ApiCall } from "../api-call.ts";
import { hasBody, maxJsonBytes, readText } from "../decode/body.ts";
import { decodeConfig } from "../decode/container-config.ts";
import { Fields } from "../decode/fields.ts";
import { type Filters, filterSet, readFilters } from "../decode/filters.ts";
import { given } from "../decode/init.ts";
import { goKind, type JsonObject, type JsonValue, parseJson } from "../decode/json-value.ts";
import { parsePlatformJson } from "../decode/platform.ts";
import { decodeAuth, parseRegistryAuth } from "../decode/registry-auth.ts";
import { encodeDescriptor, encodePlatform } from "../encode/descriptor.ts";
import { containersByImage } from "../encode/disk-usage.ts";
import {
  type ContainersOf,
  encodeHistory,
  encodeImage,
  encodeImageSummary,
  imageRow,
} from "../encode/image.ts";
import { nullIfEmpty, unlessEmpty } from "../encode/json.ts";
import { opened } from "../encode/version-gates.ts";
import { RowMemo } from "../row-memo.ts";
import { containerRows } from "./container-read.ts";

const listKeys = new Set(["before", "dangling", "label", "label!", "reference", "since", "until"]);

/** GET /images/json */
export async function listImages(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const manifests = opened("listManifests", version) && query.flag("manifests");
  const sharedSize = opened("sharedSize", version) && query.flag("shared-size");
  const filters = filterSet(listFilters(call));
  const request = { all: query.flag("all"), filters, sharedSize, manifests };
  if (manifests) return await listWithManifests(call, request);
  const [rows, counts] = await Promise.all([
    call.backends.imageRows(request),
    opened("containerCount", version) ? countUsers(call) : undefined,
  ]);
  call.jsonList(
    rows.map((bytes) => {
      const row = imageRows.row(bytes, version);
      return row.json(counts === undefined ? -1 : (counts.get(row.id) ?? 0));
    }),
  );
}

/** Old clients give the pattern of names a parameter of its own. */
function listFilters({ query, version }: ApiCall): Filters {
  const filters = readFilters(query, listKeys);
  const name = opened("noFilterParameter", version) ? "" : query.text("filter");
  if (name === "") return filters;
  return new Map(filters).set("reference", [...(filters.get("reference") ?? []), name]);
}

const imageRows = new RowMemo((bytes, version) =>
  imageRow(fromBinary(ImageSchema, bytes), version),
);

type ListRequest = Parameters<ApiCall["backends"]["imageRows"]>[0];

async function listWithManifests(call: ApiCall, request: ListRequest): Promise<void> {
  const { version } = call;
  const [{ images }, containers] = await Promise.all([
    call.backends.images.listImages(request),
    imageUsers(call),
  ]);
  const counts = containers && containersByImage(containers);
  const view = {
    version,
    manifests: true,
    countContainers:
      opened("containerCount", version) && counts
        ? (id: string): number => counts.get(id) ?? 0
        : undefined,
    containersOf: containers && byManifest(containers),
  };
  call.json(images.map((each) => encodeImageSummary(each, view)));
}

/** How many containers use each image; undefined without container-service. */
async function countUsers(call: ApiCall): Promise<ReadonlyMap<string, number> | undefined> {
  const rows = await withoutContainers(call.backends.containerRows({ all: true }));
  return rows && containersByImage(rows.map((bytes) => containerRows.row(bytes, call.version)));
}

/** All containers; undefined without container-service. */
async function imageUsers(call: ApiCall): Promise<readonly Container[] | undefined> {
  const answer = await withoutContainers(call.backends.containers.listContainers({ all: true }));
  return answer?.containers;
}

/** Images are listed without their users while container-service is down. */
async function withoutContainers<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (hasKind(error, "unavailable")) return undefined;
    throw error;
  }
}

function byManifest(containers: readonly Container[]): ContainersOf {
  return (digest) =>
    containers
      .filter(({ imageManifestDescriptor: used }) => used?.digest === digest)
      .map(({ id }) => id);
}

/** GET /images/{name}/json */
export async function inspectImage(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const manifests = opened("descriptors", version) && query.flag("manifests");
  const platform = opened("inspectPlatform", version)
    ? parsePlatformJson(query.text("platform"))
    : undefined;
  if (manifests && platform !== undefined) {
    throw invalidArgument("conflicting options: manifests and platform options cannot both be set");
  }
  const [{ image }, containers] = await Promise.all([
    call.backends.images.inspectImage(given({ image: call.name, platform, manifests })),
    manifests ? imageUsers(call) : undefined,
  ]);
  if (image === undefined) throw new EngineError("internal", "the answer has no image");
  const shown = imageVersionFor(call);
  // What was asked for is that platform's image, not the index that it is in.
  const { manifest } = image;
  const told = platform && manifest ? { ...image, id: manifest.digest, target: manifest } : image;
  call.json(encodeImage(told, shown, manifests, containers && byManifest(containers)));
}

/**
 * docker-compose 1.x asks in the newest version, whatever that is, and cannot replace a container
 * without the fields that ended with 1.45.
 */
function imageVersionFor(call: ApiCall): number {
  const old = call.header("user-agent").startsWith("docker-compose/1.");
  return old ? Math.min(call.version, lastWithContainerConfig) : call.version;
}

const lastWithContainerConfig = 44;

/** GET /images/{name}/history */
export async function imageHistory(call: ApiCall): Promise<void> {
  const platform = opened("imagePlatform", call.version)
    ? parsePlatformJson(call.query.text("platform"))
    : undefined;
  const { entries } = await call.backends.images.getImageHistory(
    given({ image: call.name, platform }),
  );
  call.json(entries.map(encodeHistory));
}

/** POST /images/{name}/tag */
export async function tagImage(call: ApiCall): Promise<void> {
  const repository = call.query.text("repo");
  const tag = call.query.text("tag");
  await call.backends.images.tagImage({ image: call.name, repository, tag });
  call.empty(201);
}

/** DELETE /images/{name} */
export async function removeImage(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const texts = opened("deletePlatforms", version) ? query.all("platforms") : [];
  const platforms = texts.map(parsePlatformJson).filter((each) => each !== undefined);
  await settleImageUse(call);
  const { removed } = await call.backends.images.removeImage({
    image: call.name,
    force: query.flag("force"),
    noPrune: query.flag("noprune"),
    platforms,
  });
  call.json(removed.map(encodeRemoved));
}

/** A container that is gone by now keeps no image, and one that was just started keeps its own. */
async function settleImageUse(call: ApiCall): Promise<void> {
  try {
    await call.backends.containers.settleImageUse({});
  } catch (error) {
    if (!hasKind(error, "unavailable")) throw error;
    call.logger.warn(
      { err: error },
      "image-service judges by the containers that it last heard of",
    );
  }
}

function encodeRemoved({ untagged, deleted }: { untagged: string; deleted: string }) {
  return { Untagged: unlessEmpty(untagged), Deleted: unlessEmpty(deleted) };
}

const pruneKeys = new Set(["dangling", "label", "label!", "until"]);

/** POST /images/prune */
export async function pruneImages(call: ApiCall): Promise<void> {
  const filters = filterSet(readFilters(call.query, pruneKeys));
  await settleImageUse(call);
  const pruned = await call.backends.images.pruneImages({ filters });
  call.json({
    ImagesDeleted: nullIfEmpty(pruned.removed.map(encodeRemoved)),
    SpaceReclaimed: pruned.spaceReclaimedBytes,
  });
}

const searchKeys = new Set(["is-automated", "is-official", "stars"]);

/** GET /images/search */
export async function searchImages(call: ApiCall): Promise<void> {
  const { query } = call;
  const { results } = await call.backends.images.searchImages(
    given({
      term: query.text("term"),
      limit: query.integer("limit", "invalid limit specified: ") ?? 0,
      filters: filterSet(readFilters(query, searchKeys)),
      auth: parseRegistryAuth(call.header("x-registry-auth")),
    }),
    { signal: call.signal },
  );
  call.json(
    results.map((each) => ({
      star_count: each.starCount,
      is_official: each.isOfficial,
      name: each.name,
      is_automated: false,
      description: each.description,
    })),
  );
}

/** POST /commit */
export async function commitContainer(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const body = await call.optionalJsonBody();
  if (query.text("container") === "") throw invalidArgument('invalid name or ID supplied: ""');
  const { imageId } = await call.backends.containers.commitContainer(
    given({
      container: query.text("container"),
      repository: query.text("repo"),
      tag: query.text("tag"),
      comment: query.text("comment"),
      author: query.text("author"),
      pause: query.flag("pause", true),
      changes: query.all("changes").flatMap((text) => text.split("\n")),
      config: body === undefined ? undefined : decodeConfig(body, version),
    }),
  );
  call.json({ Id: imageId }, 201);
}

/** GET /distribution/{name}/json */
export async function inspectDistribution(call: ApiCall): Promise<void> {
  const auth = parseRegistryAuth(call.header("x-registry-auth"));
  const found = await call.backends.images.inspectDistribution(
    given({ reference: call.name, auth }),
    { signal: call.signal },
  );
  call.json({
    Descriptor: found.descriptor ? encodeDescriptor(found.descriptor) : null,
    Platforms: found.platforms.map(encodePlatform),
  });
}

/** The body of a login: here Docker's decoder speaks for itself, whatever the content type, with status 500. */
async function authConfig(call: ApiCall): Promise<Fields> {
  call.continueBody();
  const text = hasBody(call.request) ? await readText(call.request, maxJsonBytes) : "";
  const value = parsedAuth(text);
  if (value instanceof Map) return new Fields(onlyTexts(value));
  throw internal(
    `json: cannot unmarshal ${goKind(value)} into Go value of type registry.AuthConfig`,
  );
}

/** Members of registry.AuthConfig, in its order. */
const authMembers = [
  ...["username", "password", "auth", "serveraddress", "identitytoken", "registrytoken"],
];

function onlyTexts(value: JsonObject): JsonObject {
  for (const name of authMembers) {
    const member = value.get(name) ?? "";
    if (typeof member === "string") continue;
    throw internal(
      `json: cannot unmarshal ${goKind(member)} into Go struct field .${name} of type string`,
    );
  }
  return value;
}

/** The first value; what follows it is not looked at. */
function parsedAuth(text: string): JsonValue {
  const { end, problem } = scanJson(text);
  if (problem !== undefined) throw internal(problem);
  try {
    return parseJson(text.slice(0, end), { problem: "" });
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw internal(error.message.replace(/^: /, ""), { cause: error });
  }
}

/** POST /auth */
export async function login(call: ApiCall): Promise<void> {
  const auth = decodeAuth(await authConfig(call));
  const answer = await call.backends.images.login({ auth }, { signal: call.signal });
  call.json({ Status: answer.status, IdentityToken: answer.identityToken });
}

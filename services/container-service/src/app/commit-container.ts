/** Commit: an image of a container's changes. */
import { conflict, hasKind, invalidArgument } from "@gantry/errors";
import { familiarName, isTag, parseReference } from "@gantry/oci";
import { mergeImageConfig, parseImageConfig } from "../domain/image-config.ts";
import { imageConfigJson } from "../domain/image-config-json.ts";
import type { ContainerConfig } from "../domain/nouns.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { readFiles } from "./read-files.ts";

/** What the image should be. */
export interface CommitOptions {
  readonly repository: string;
  readonly tag: string;
  readonly comment: string;
  readonly author: string;
  /** Freeze the container meanwhile. */
  readonly pause: boolean;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** Over the container's configuration, as that is over its image's. */
  readonly config?: ContainerConfig | undefined;
}

/** Returns the image ID. Errors: not_found, conflict (dead, removing), invalid_argument (changes, name). */
export async function commitContainer(
  app: App,
  reference: string,
  options: CommitOptions,
  signal: AbortSignal,
): Promise<string> {
  checkName(options);
  const entry = app.registry.find(reference);
  const { status } = entry.record.state;
  if (status === "dead") throw conflict(`You cannot commit container ${entry.id} which is Dead`);
  if (status === "removing") {
    throw conflict(`You cannot commit container ${entry.id} which is being removed`);
  }
  await using _frozen = options.pause ? await freeze(app, entry) : undefined;
  const imageId = await readFiles(app, reference, () => commit(app, entry, options, signal));
  const attributes = {
    comment: options.comment,
    imageID: imageId,
    imageRef: imageReference(options),
  };
  app.store.append([containerEvent(entry.record, "commit", attributes)]);
  return imageId;
}

/** Docker looks at the name before the container. Throws invalid_argument. */
function checkName({ repository, tag }: CommitOptions): void {
  if (repository === "") return;
  parseReference(repository);
  if (tag !== "" && !isTag(tag)) throw invalidArgument("invalid tag format");
}

function commit(
  app: App,
  entry: Entry,
  options: CommitOptions,
  signal: AbortSignal,
): Promise<string> {
  const { record } = entry;
  const config = configOf(record.config, options.config);
  return app.images.commit(
    {
      containerId: entry.id,
      parentImage: record.image.id,
      parentManifest: record.image.manifest.digest,
      configJson: imageConfigJson(config),
      author: options.author,
      comment: options.comment,
      createdBy: [record.path, ...record.args].join(" "),
      repository: options.repository,
      tag: options.tag,
      changes: options.changes,
    },
    signal,
  );
}

function configOf(own: ContainerConfig, over: ContainerConfig | undefined): ContainerConfig {
  if (over === undefined) return own;
  const below = parseImageConfig(Buffer.from(`{"config":${imageConfigJson(own)}}`));
  return { ...over, ...mergeImageConfig(over, below) };
}

/** The name as Docker shows it. */
function imageReference({ repository, tag }: CommitOptions): string {
  if (repository === "") return "";
  const reference = parseReference(repository);
  return familiarName({ ...reference, tag: tag === "" ? (reference.tag ?? "latest") : tag });
}

/** Freezes a container that runs: events tell of it, its state does not. One that ends is still enough. */
async function freeze(app: App, entry: Entry): Promise<AsyncDisposable | undefined> {
  const tell = (action: "pause" | "unpause"): void => {
    app.store.append([containerEvent(entry.record, action)]);
  };
  const isFrozen =
    entry.record.state.status === "running" &&
    (await didBeforeEnd(app.shim.pause({ id: entry.id })));
  if (!isFrozen) return undefined;
  tell("pause");
  return {
    async [Symbol.asyncDispose]() {
      if (entry.record.state.status !== "running") return;
      if (await didBeforeEnd(app.shim.resume({ id: entry.id }))) tell("unpause");
    },
  };
}

/** False when the container has ended. */
async function didBeforeEnd(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (!hasKind(error, "conflict")) throw error;
    return false;
  }
}

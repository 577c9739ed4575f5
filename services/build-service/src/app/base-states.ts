/** What a stage stands on before its first instruction. */
import type { Platform } from "@gantry/oci";
import type { DispatchStyle } from "../domain/frontend/dispatch-context.ts";
import { defaultPath, envMap, type StageState } from "../domain/frontend/stage-state.ts";
import type { ImageConfigDocument } from "../domain/image-config.ts";
import { type Vertex, vertexOf } from "../domain/solver/vertex.ts";
import type { BaseImage } from "../ports/layers.ts";

/** @param told its name as progress shows it */
export function imageVertex(
  image: BaseImage,
  reference: string,
  platform: Platform,
  told: Pick<Vertex, "name" | "lines" | "resolved">,
): Vertex {
  const op = { kind: "image" as const, reference, platform, chainId: image.chainId };
  return vertexOf(op, [], told);
}

/** A named context of files as a base: all of it. */
export function copiedAll(tree: Vertex, name: string): Vertex {
  const scratch = vertexOf({ kind: "scratch" }, [], { name: "scratch" });
  const sources = [{ input: 1, path: "/", unpack: false }];
  return vertexOf(
    {
      ...{ kind: "copy" as const, sources, destination: "/", chown: undefined, chmod: undefined },
      ...{ keepOwner: true, parents: false, exclude: [], link: false },
    },
    [scratch, tree],
    { name: `[context ${name}] copy` },
  );
}

/** An image without anything has a path to find programs by. */
export function emptyState(tree: Vertex, platform: Platform, style: DispatchStyle): StageState {
  const { os, architecture, variant } = platform;
  const Env = [`PATH=${defaultPath}`];
  const config = style === "classic" ? { Env } : { Env, WorkingDir: "/" };
  const document: ImageConfigDocument = {
    ...{ architecture, os, config, history: [] },
    ...(variant !== undefined && { variant }),
  };
  return { tree, document, args: new Map(), hiding: new Set(), hasCommand: false, platform };
}

/** A base image's document without what belongs to its own making, with a path to find programs by. */
export function startingDocument(document: ImageConfigDocument): ImageConfigDocument {
  const {
    created: _created,
    rootfs: _rootfs,
    author: _author,
    container: _container,
    ...rest
  } = document;
  const { container_config: _containerConfig, docker_version: _version, ...kept } = rest;
  const env = kept.config.Env ?? [];
  const hasPath = envMap(env).has("PATH") || kept.os === "windows";
  const Env = hasPath ? env : [...env, `PATH=${defaultPath}`];
  return { ...kept, config: { ...kept.config, Env } };
}

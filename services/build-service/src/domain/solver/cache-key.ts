/** Cache keys: what must be equal for a result to be taken over. */
import { createHash } from "node:crypto";
import type { CopyOp, MakeDirectoryOp, RunMount, RunOp } from "./vertex.ts";

/** Hash of anything that JSON can write. */
export function keyOf(...parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** What of a RUN counts. Secrets, agents, proxies and who else uses a cache mount do not. */
export function runIdentity(op: RunOp): unknown {
  const { args, env, cwd, user, network, hostname, insecure, mounts, volumes } = op;
  const words = [args, env, cwd, user, network, hostname, insecure];
  const ofVolumes = volumes.length === 0 ? [] : [volumes];
  return ["run", ...words, mounts.map(mountIdentity), ...ofVolumes];
}

function mountIdentity(mount: RunMount): unknown {
  switch (mount.type) {
    case "bind":
      return ["bind", mount.source, mount.target, mount.writable];
    case "cache":
      return ["cache", mount.target, mount.readOnly];
    case "tmpfs":
      return ["tmpfs", mount.target, mount.sizeBytes];
    case "secret":
      return ["secret", mount.target, mount.env];
    case "ssh":
      return ["ssh", mount.target];
  }
}

/**
 * What of a COPY counts beside the content. That has the names of what a source means, so that a pattern and the path
 * of what it matches are the same.
 */
export function copyIdentity(op: CopyOp): unknown {
  const { sources, ...rest } = op;
  return [
    rest,
    sources.map(({ path, unpack, name }) => [name ?? (op.parents ? path : ""), unpack]),
  ];
}

/** What of a WORKDIR counts. */
export function directoryIdentity({ path, owner }: MakeDirectoryOp): unknown {
  return ["mkdir", path, owner];
}

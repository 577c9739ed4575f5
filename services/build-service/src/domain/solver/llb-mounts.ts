/** Mounts of RUN as BuildKit's operations have them: kinds by their number, zero values left out. */
import { llbIndex } from "./llb-inputs.ts";
import type { RunMount, RunOp, Vertex } from "./vertex.ts";

const kinds = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;
const sharings = { shared: 0, private: 1, locked: 2 } as const;

/** The root, then what is mounted into it by its place, then secrets and agents. */
export function runMountsJson(vertex: Vertex, { mounts }: RunOp): object[] {
  const root = { ...nonZero({ input: llbIndex(vertex, 0) }), dest: "/" };
  const borrowed = mounts.filter(({ type }) => type === "secret" || type === "ssh");
  const others = mounts.filter((mount) => !borrowed.includes(mount));
  const byPlace = others.toSorted((a, b) => (a.target < b.target ? -1 : 1));
  const secrets = borrowed.filter(({ type, target }) => type === "secret" && target !== "");
  const agents = borrowed.filter(({ type }) => type === "ssh");
  return [root, ...[...byPlace, ...secrets, ...agents].map((mount) => mountJson(vertex, mount))];
}

function mountJson(vertex: Vertex, mount: RunMount): object {
  const { type, target: dest } = mount;
  const mountType = kinds[type];
  const borrowed = { input: -1, dest, mountType };
  const shared = { dest, output: -1, ...nonZero({ mountType }) };
  switch (mount.type) {
    case "bind": {
      const { input, source, writable } = mount;
      const of = { ...nonZero({ input: llbIndex(vertex, input) }), ...selectorOf(source) };
      return { ...of, ...shared, ...(!writable && { readonly: true }) };
    }
    case "cache": {
      const { input, source, id, sharing, readOnly } = mount;
      const cacheOpt = {
        ID: `/${id.replace(/^\/+/, "")}`,
        ...nonZero({ sharing: sharings[sharing] }),
      };
      const from = input === undefined ? -1 : llbIndex(vertex, input);
      return {
        ...{ ...nonZero({ input: from }), ...selectorOf(source), ...shared },
        ...(readOnly && { readonly: true }),
        cacheOpt,
      };
    }
    case "tmpfs":
      return { input: -1, ...shared, TmpfsOpt: nonZero({ size: mount.sizeBytes }) };
    case "secret":
      return { ...borrowed, secretOpt: { ID: mount.id, ...accessOf(mount) } };
    case "ssh": {
      const ID = mount.id === "default" ? {} : { ID: mount.id };
      return { ...borrowed, SSHOpt: { ...ID, ...accessOf(mount) } };
    }
  }
}

const selectorOf = (source: string): object => (source === "/" ? {} : { selector: source });

function accessOf(mount: {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly required: boolean;
}): object {
  const { uid, gid, mode, required } = mount;
  return { ...nonZero({ uid, gid, mode }), ...(!required && { optional: true }) };
}

function nonZero(values: Readonly<Record<string, number>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
}

/** What exporters are given, and how they show what they do. */
import { formatPlatform } from "@gantry/oci";
import type { Builder, BuildResult, PlatformResult, WrittenBlob } from "../../ports/build.ts";
import type { ProgressSink } from "../../ports/progress.ts";
import { asVertex, type OwnVertex } from "../progress/own-vertex.ts";
import type { Session } from "../session/session.ts";
import type { AttestationMaker } from "./provenance.ts";

/** An exporter that a client asked for. */
export interface ExporterRequest {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Pushes what the engine has. */
export interface ImagePusher {
  /** Pushes one; throws what the registry says. */
  push(
    reference: string,
    options: {
      readonly session: Session;
      readonly vertex: OwnVertex;
      /** What to push, which need not be an image; undefined: the image of that name. */
      readonly target: WrittenBlob | undefined;
      /** Under its digest, and no tag. Default false. */
      readonly byDigest?: boolean;
      /** The registry is reached without TLS, or with a certificate of anybody's. Default false. */
      readonly insecure?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<void>;
}

/** What exporters work with. */
export interface ExportContext {
  readonly ref: string;
  readonly builder: Builder;
  readonly result: BuildResult;
  readonly session: () => Promise<Session>;
  readonly pusher: ImagePusher;
  readonly attest: AttestationMaker | undefined;
  /** Seconds since the epoch that times are set to. */
  readonly sourceDateEpoch: number | undefined;
  /** Images tell which steps their layers are. */
  readonly inlineCache: boolean;
  /** Whether results are put in folders of their platforms. */
  readonly split: boolean;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Keys and values for the client. */
export type ExporterResponse = Readonly<Record<string, string>>;

/** A platform that was asked for twice is exported once, and told of. */
export function eachPlatformOnce(
  { result, progress }: ExportContext,
  vertex: OwnVertex,
): Pick<BuildResult, "platforms"> {
  const platforms = new Map<string, PlatformResult>();
  for (const each of result.platforms) {
    const name = formatPlatform(each.platform);
    if (platforms.has(name)) {
      const short = `Duplicate platform result requested ${JSON.stringify(name)}`;
      progress.warning(vertex.digest, { short, detail: [], url: "", lines: undefined });
    }
    platforms.set(name, each);
  }
  return { platforms: [...platforms.values()] };
}

/** Runs an exporter's work as its vertex. */
export function exportVertex<T>(
  { ref, progress }: ExportContext,
  name: string,
  work: (vertex: OwnVertex) => Promise<T>,
): Promise<T> {
  return asVertex(progress, { key: `${ref} ${name}`, name }, work);
}

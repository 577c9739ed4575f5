/** SLSA provenance of images, in the form that BuildKit gives it. */
import {
  canonicalName,
  formatPlatform,
  hostPlatform,
  parseReference,
  withDefaultTag,
} from "@gantry/oci";
import type { Attestation, BuildMaterial, ExportedManifest } from "../../ports/build.ts";
import type { FrontendOptions } from "./frontend-options.ts";
import { borrowedBy, type ProvenanceGraph, shownGraph } from "./provenance-graph.ts";

/** Makes what is attached to one platform's manifest. */
export type AttestationMaker = (manifest: ExportedManifest) => readonly Attestation[];

/** What provenance tells of a build. */
export interface ProvenanceInput {
  readonly ref: string;
  readonly options: FrontendOptions;
  readonly attrs: Readonly<Record<string, string>>;
  readonly materials: readonly BuildMaterial[];
  readonly names: readonly string[];
  /** There can be attestations that are asked for only where they come with an image in any case. */
  readonly inline: boolean;
  readonly startedMs: number;
  /** What was built; undefined: the graph is not told of. */
  readonly built: ProvenanceGraph | undefined;
}

/** What of a manifest stands in a graph. */
type ShownManifest = Pick<ExportedManifest, "platform" | "layers">;

/** Attributes that `mode=min` leaves out: they may hold what is nobody's business. */
const privateAttributes = /^(build-arg:|label:|context:|vcs:)/;

/** Attributes that say how to build, and nothing of what. */
const unnamedAttributes =
  /^(attest:|local-sessionid:|sharedkey:|(filename|image-resolve-mode|cache-imports|cache-from|frontend\.caps)$)/;

/** Makes provenance where the build asks for it. */
export function provenanceMaker(input: ProvenanceInput): AttestationMaker | undefined {
  const { provenance } = input.options;
  const isLeftOut = !input.inline && provenance?.get("inline-only") === "true";
  if (provenance === undefined || isLeftOut) return undefined;
  const isOld = provenance.get("version") === "v0.2";
  return (manifest) => {
    const predicateType = `https://slsa.dev/provenance/${isOld ? "v0.2" : "v1"}`;
    const statement = {
      _type: "https://in-toto.io/Statement/v0.1",
      predicateType,
      subject: subjectsOf(input.names, manifest),
      predicate: isOld ? predicateV02(input, manifest) : predicateV1(input, manifest),
    };
    return [{ predicateType, statement: new TextEncoder().encode(JSON.stringify(statement)) }];
  };
}

/** What the history has of a result: all of it, whatever the build wants to be attached to images. */
export function historyPredicate(
  input: ProvenanceInput,
  platform: ExportedManifest["platform"],
): { readonly type: string; readonly bytes: Uint8Array } {
  const builder = input.options.provenance?.get("builder-id") ?? "";
  const provenance = new Map([
    ["mode", "max"],
    ["builder-id", builder],
  ]);
  const all = { ...input, options: { ...input.options, provenance } };
  const manifest = { platform, layers: [] };
  const isNew = isTrue(input.attrs["build-arg:BUILDKIT_HISTORY_PROVENANCE_V1"]);
  const predicate = isNew ? predicateV1(all, manifest) : predicateV02(all, manifest);
  return {
    type: `https://slsa.dev/provenance/${isNew ? "v1" : "v0.2"}`,
    bytes: new TextEncoder().encode(JSON.stringify(predicate, undefined, 2)),
  };
}

const isTrue = (text = ""): boolean => /^(1|t|true)$/i.test(text);

function subjectsOf(names: readonly string[], manifest: ExportedManifest): object[] {
  const digest = { sha256: manifest.digest.replace(/^sha256:/, "") };
  const platform = encodeURIComponent(formatPlatform(manifest.platform));
  const named = names.map((given) => {
    const name = canonicalName(withDefaultTag(parseReference(given)));
    const colon = name.lastIndexOf(":");
    const short = name.slice(0, colon).replace(/^docker\.io\/(library\/)?/, "");
    return { name: `pkg:docker/${short}@${name.slice(colon + 1)}?platform=${platform}`, digest };
  });
  return named.length > 0 ? named : [{ name: "_", digest }];
}

/** Nothing of the request is left out. */
const isComplete = ({ options }: ProvenanceInput): boolean =>
  options.provenance?.get("mode") === "max";

const byKey = ([a]: readonly [string, string], [b]: readonly [string, string]): number =>
  a < b ? -1 : 1;

function requestOf(input: ProvenanceInput): object {
  const { attrs, built } = input;
  const isMax = isComplete(input);
  const args = Object.entries(attrs).filter(
    ([key]) => !unnamedAttributes.test(key) && (isMax || !privateAttributes.test(key)),
  );
  return {
    frontend: "dockerfile.v0",
    ...(args.length > 0 && { args: Object.fromEntries(args.toSorted(byKey)) }),
    ...(isMax && built && borrowedBy(built)),
    locals: [{ name: "context" }, { name: "dockerfile" }],
  };
}

function dependencies(materials: readonly BuildMaterial[]): object[] {
  return materials.map(({ uri, digest }) => {
    const [algorithm = "", hex = ""] = digest.split(":");
    return { uri, ...(hex !== "" && { digest: { [algorithm]: hex } }) };
  });
}

/** The graph, where nothing is left out. */
const graphOf = (input: ProvenanceInput, manifest: ShownManifest) =>
  isComplete(input) && input.built !== undefined ? shownGraph(input.built, manifest) : undefined;

function predicateV1(input: ProvenanceInput, manifest: ShownManifest): object {
  const { options, ref, startedMs, materials } = input;
  const graph = graphOf(input, manifest);
  return {
    buildDefinition: {
      buildType:
        "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
      externalParameters: {
        configSource: { path: options.filename },
        request: requestOf(input),
      },
      internalParameters: {
        ...(graph && { buildConfig: graph.config }),
        builderPlatform: formatPlatform(hostPlatform()),
      },
      resolvedDependencies: dependencies(materials),
    },
    runDetails: {
      builder: { id: options.provenance?.get("builder-id") ?? "" },
      metadata: {
        invocationId: ref,
        startedOn: new Date(startedMs).toISOString(),
        finishedOn: new Date().toISOString(),
        buildkit_completeness: { request: isComplete(input), resolvedDependencies: false },
        buildkit_metadata: graph?.metadata ?? {},
      },
    },
  };
}

function predicateV02(input: ProvenanceInput, manifest: ShownManifest): object {
  const { options, ref, startedMs, materials } = input;
  const graph = graphOf(input, manifest);
  return {
    builder: { id: options.provenance?.get("builder-id") ?? "" },
    buildType: "https://mobyproject.org/buildkit@v1",
    materials: dependencies(materials),
    invocation: {
      configSource: { entryPoint: options.filename },
      parameters: requestOf(input),
      environment: { platform: formatPlatform(hostPlatform()) },
    },
    ...(graph && { buildConfig: graph.config }),
    metadata: {
      buildInvocationID: ref,
      buildStartedOn: new Date(startedMs).toISOString(),
      buildFinishedOn: new Date().toISOString(),
      completeness: { parameters: isComplete(input), environment: true, materials: false },
      reproducible: false,
      "https://mobyproject.org/buildkit@v1#metadata": graph?.metadata ?? {},
    },
  };
}

export {
  chainIds,
  type Digest,
  digestAlgorithm,
  digestHex,
  isDigest,
  parseDigest,
  sha256Digest,
  shortDigest,
} from "./digest.ts";
export { type ScannedJson, scanJson, wholeJsonProblem } from "./go-json.ts";
export {
  configPlatform,
  type Descriptor,
  type HistoryItem,
  type ImageConfig,
  type Index,
  type Manifest,
  maxConfigBytes,
  maxIndexEntries,
  maxLayers,
  maxManifestBytes,
  parseDocument,
  parseImageConfig,
  parseManifestOrIndex,
} from "./image-spec.ts";
export {
  bigInteger,
  boolean,
  integer,
  list,
  object,
  oneOf,
  type Parse,
  type Parsed,
  parseExactJson,
  record,
  string,
} from "./json-shape.ts";
export {
  acceptedManifestTypes,
  isConfigType,
  isIndexType,
  isLayerType,
  isManifestType,
  isNonDistributable,
  mediaTypes,
} from "./media-types.ts";
export {
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  type Platform,
  parsePlatform,
  platformDistance,
  samePlatform,
} from "./platform.ts";
export { processorFlags, processorLevel, shownHostPlatform } from "./processor.ts";
export {
  canonicalName,
  familiarName,
  familiarRepository,
  isTag,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from "./reference.ts";
export {
  parseRuntimeProcess,
  parseRuntimeResources,
  parseRuntimeSpec,
  type RuntimeDevice,
  type RuntimeDeviceRule,
  type RuntimeHook,
  type RuntimeHooks,
  type RuntimeIdMapping,
  type RuntimeLinux,
  type RuntimeMount,
  type RuntimeNamespace,
  type RuntimeProcess,
  type RuntimeResources,
  type RuntimeRlimit,
  type RuntimeSeccomp,
  type RuntimeSpec,
} from "./runtime-spec.ts";
export { highestSignal, isStopSignal, signalNumber } from "./signal-names.ts";

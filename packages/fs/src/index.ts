export {
  type AtomicWriteOptions,
  syncFolder,
  writeFileAtomic,
} from "./atomic-write.ts";
export { orNothing } from "./or-nothing.ts";
export { openOverwritten, overwriteFile } from "./overwrite.ts";
export { isInside } from "./safe-path.ts";
export { sharedWork } from "./shared-work.ts";
export { openTempDir, type TempDir } from "./temp-dir.ts";
export { Turns } from "./turns.ts";

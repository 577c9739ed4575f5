/** Folder that a platform's files get beside those of others. */
import { formatPlatform, type Platform } from "@gantry/oci";

/** `linux_arm_v7`. */
export const folderOf = (platform: Platform): string =>
  formatPlatform(platform).replaceAll("/", "_");

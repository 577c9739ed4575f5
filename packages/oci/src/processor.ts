/** The level of an x86-64 processor (psABI), which Docker shows as the variant of the machine's platform. */

/** What each level adds to the one before, in the words of /proc/cpuinfo; the first is v2's. */
const levels: readonly (readonly string[])[] = [
  ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"],
  ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"],
  ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/** Flags of the first processor: all have the same. @param cpuinfo text of /proc/cpuinfo */
export function processorFlags(cpuinfo: string): ReadonlySet<string> {
  const line = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? "";
  return new Set(line.trim().split(/\s+/));
}

/** The machine's platform as warnings name it. @param flags of /proc/cpuinfo */
export function shownHostPlatform(architecture: string, flags: ReadonlySet<string>): string {
  if (architecture === "arm64") return "linux/arm64/v8";
  if (architecture !== "amd64") return `linux/${architecture}`;
  const level = processorLevel(flags);
  return level === 1 ? "linux/amd64" : `linux/amd64/v${level}`;
}

/** The level of an x86-64 processor, from 1 on. */
export function processorLevel(flags: ReadonlySet<string>): number {
  const missing = levels.findIndex((level) => !level.every((flag) => flags.has(flag)));
  return (missing === -1 ? levels.length : missing) + 1;
}

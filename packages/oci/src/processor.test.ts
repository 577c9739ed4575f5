import assert from "node:assert/strict";
import { it } from "node:test";
import { shownHostPlatform } from "./processor.ts";

it("names the machine's platform with the level of its processor", () => {
  const two = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"];
  const three = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"];
  const four = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];
  const shown = (...flags: string[]): string => shownHostPlatform("amd64", new Set(flags));
  assert.equal(shown("sse2"), "linux/amd64");
  assert.equal(shown(...two), "linux/amd64/v2");
  assert.equal(shown(...two, ...three.slice(1)), "linux/amd64/v2");
  assert.equal(shown(...two, ...three), "linux/amd64/v3");
  // A level counts only with all below it.
  assert.equal(shown(...two, ...four), "linux/amd64/v2");
  assert.equal(shown(...two, ...three, ...four, "vmx"), "linux/amd64/v4");
  assert.equal(shownHostPlatform("arm64", new Set()), "linux/arm64/v8");
  assert.equal(shownHostPlatform("riscv64", new Set()), "linux/riscv64");
});

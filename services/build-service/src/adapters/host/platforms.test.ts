import assert from "node:assert/strict";
import { it } from "node:test";
import { hostPlatform } from "@gantry/oci";
import { emulatedBy, readPlatforms } from "./platforms.ts";

/** A registration of qemu's for 64-bit little-endian programs of a machine. */
const registration = (machine: string, { state = "enabled", flags = "OPF", ident = "0201" } = {}) =>
  [
    state,
    "interpreter /usr/libexec/qemu-binfmt/x-binfmt-P",
    `flags: ${flags}`,
    "offset 0",
    `magic 7f454c46${ident}010000000000000000000200${machine}`,
    "mask ffffffffffffff00fffffffffffffffffeffffff",
    "",
  ].join("\n");

it("reads for which machine an emulator is registered", () => {
  assert.equal(emulatedBy(registration("b700")), "arm64");
  assert.equal(emulatedBy(registration("f300")), "riscv64");
  assert.equal(emulatedBy(registration("1500")), "ppc64le");
  assert.equal(emulatedBy(registration("2800", { ident: "0101" })), "arm");
  const bigEndian = registration("0016", { ident: "0202" }).replace("000200", "000002");
  assert.equal(emulatedBy(bigEndian), "s390x");
});

it("passes over what is off, not held open by the kernel, or no ELF", () => {
  assert.equal(emulatedBy(registration("b700", { state: "disabled" })), undefined);
  assert.equal(emulatedBy(registration("b700", { flags: "OC" })), undefined);
  assert.equal(
    emulatedBy("enabled\ninterpreter /usr/bin/jexec\nflags: F\noffset 0\nmagic 504b0304\n"),
    undefined,
  );
  assert.equal(emulatedBy("enabled\ninterpreter /x\nflags: F\nextension .exe\n"), undefined);
  assert.equal(emulatedBy(registration("ffff")), undefined);
});

it("begins with the machine's own platform", () => {
  assert.deepEqual(readPlatforms()[0], hostPlatform());
});

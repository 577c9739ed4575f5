import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readCheckOptions, shownFinding } from "./rules.ts";

describe("check options", () => {
  it("name rules to skip, or all, and whether findings are errors", () => {
    const one = readCheckOptions("skip=JSONArgsRecommended, StageNameCasing;error=true");
    assert.deepEqual(
      [one.wants("JSONArgsRecommended"), one.wants("StageNameCasing"), one.wants("UndefinedVar")],
      [false, false, true],
    );
    assert.equal(one.isError, true);
    assert.equal(readCheckOptions("skip=all").wants("UndefinedVar"), false);
    assert.equal(readCheckOptions("").wants("UndefinedVar"), true);
  });
  it("name experimental rules, or all of them, which are off otherwise", () => {
    assert.equal(readCheckOptions("").wants("CopyIgnoredFile"), false);
    const one = readCheckOptions("experimental=CopyIgnoredFile");
    assert.equal(one.wants("CopyIgnoredFile"), true);
    assert.equal(one.wants("InvalidDefinitionDescription"), false);
    const all = readCheckOptions("skip=CopyIgnoredFile;experimental=all");
    assert.equal(all.wants("CopyIgnoredFile"), false);
    assert.equal(all.wants("InvalidDefinitionDescription"), true);
  });
  it("are refused when they are none", () => {
    assert.throws(() => readCheckOptions("skip"), /invalid check option "skip"/);
    assert.throws(() => readCheckOptions("skpi=all"), /invalid check option "skpi"/);
    assert.throws(
      () => readCheckOptions("error=maybe"),
      /strconv.ParseBool: parsing "maybe": invalid syntax/,
    );
  });
});

it("links a rule to its page", () => {
  const lines = { first: 3, last: 4 };
  const urlOf = (rule: Parameters<typeof shownFinding>[0]["rule"]): string =>
    shownFinding({ rule, message: "m", lines }).url.split("/").at(-2) ?? "";
  assert.equal(urlOf("JSONArgsRecommended"), "json-args-recommended");
  assert.equal(urlOf("SecretsUsedInArgOrEnv"), "secrets-used-in-arg-or-env");
  assert.equal(urlOf("UndefinedArgInFrom"), "undefined-arg-in-from");
  const lone = { rule: "InvalidBaseImagePlatform", message: "m", lines } as const;
  assert.equal(shownFinding(lone).url, "");
  const { short } = shownFinding({ rule: "UndefinedVar", message: "m", lines });
  assert.equal(short, "UndefinedVar: m (line 3)");
});

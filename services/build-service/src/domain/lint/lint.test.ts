import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readCheckOptions, shownFinding } from "./rules.ts";

describe("check options", () => {
  it("name rules to skip, or all, and whether findings are errors", () => {
    const one = readCheckOptions("skip=JSONArgsRecommended, StageNameCasing;error=true");
    assert.deepEqual([...one.skip], ["JSONArgsRecommended", "StageNameCasing"]);
    assert.deepEqual([one.skipAll, one.isError], [false, true]);
    assert.equal(readCheckOptions("skip=all").skipAll, true);
    assert.deepEqual(readCheckOptions("").skip.size, 0);
  });
  it("are refused when they are none", () => {
    assert.throws(() => readCheckOptions("skip"), /invalid check option "skip"/);
    assert.throws(() => readCheckOptions("skpi=all"), /invalid check option "skpi"/);
    assert.throws(() => readCheckOptions("error=maybe"), /"maybe" is no boolean/);
  });
});

it("links a rule to its page", () => {
  const lines = { first: 3, last: 4 };
  const urlOf = (rule: Parameters<typeof shownFinding>[0]["rule"]): string =>
    shownFinding({ rule, message: "m", lines }).url.split("/").at(-2) ?? "";
  assert.equal(urlOf("JSONArgsRecommended"), "json-args-recommended");
  assert.equal(urlOf("SecretsUsedInArgOrEnv"), "secrets-used-in-arg-or-env");
  assert.equal(urlOf("UndefinedArgInFrom"), "undefined-arg-in-from");
  const { short } = shownFinding({ rule: "UndefinedVar", message: "m", lines });
  assert.equal(short, "UndefinedVar: m (line 3)");
});

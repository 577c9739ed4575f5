import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { renderErrorsPage } from "./errors-doc.ts";
import { inRoot } from "./repository.ts";

it("docs/errors.md is what the table of error kinds says (npm run generate)", () => {
  assert.equal(readFileSync(inRoot("docs/errors.md"), "utf8"), renderErrorsPage());
});

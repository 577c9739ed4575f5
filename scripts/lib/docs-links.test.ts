import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";
import { inRoot, root } from "./repository.ts";

const pages = globSync(["*.md", "docs/**/*.md", "{deploy,native,bench,e2e}/*.md"], { cwd: root });

/** Targets of links to files of this repository, without their anchors. */
function localTargets(text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  return links
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => target.split("#")[0] ?? "")
    .filter((target) => target !== "");
}

it("every link between the documents leads to a file", () => {
  const broken = pages.flatMap((page) =>
    localTargets(readFileSync(inRoot(page), "utf8"))
      .filter((target) => !existsSync(path.resolve(root, path.dirname(page), target)))
      .map((target) => `${page} -> ${target}`),
  );
  assert.deepEqual(broken, []);
});

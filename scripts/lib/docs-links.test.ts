import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { inRoot, root } from "./repository.ts";

const pages = globSync(["*.md", "docs/**/*.md", "{deploy,native,bench,e2e}/*.md"], { cwd: root });

/** What a page says that is not there, over all pages. */
const missing = (find: (text: string, page: string) => readonly string[]): string[] =>
  pages.flatMap((page) =>
    find(readFileSync(inRoot(page), "utf8"), page).map((what) => `${page}: ${what}`),
  );

/** Targets of links to files of this repository, without their anchors. */
function localTargets(text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  return links
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => target.split("#")[0] ?? "")
    .filter((target) => target !== "");
}

/** Paths from the root of this repository, as they stand between backquotes. */
function namedPaths(text: string): string[] {
  const folders = "bench|deploy|docs|e2e|native|packages|proto|scripts|services";
  const named = new RegExp(`\`((?:${folders})/[^\`\\s:<>…]+)(?::[^\`]*)?\``, "g");
  return [...text.matchAll(named)].map((match) => match[1] ?? "");
}

/** Scripts of package.json that somebody is told to run. */
function namedScripts(text: string): string[] {
  const named = /\bnpm (?:run (?:-s )?([a-z][\w:-]*)|(start|stop|test)\b)/g;
  return [...text.matchAll(named)].map((match) => match[1] ?? match[2] ?? "");
}

describe("the documents", () => {
  it("link to files that are there", () => {
    const isThere = (page: string, target: string) =>
      existsSync(path.resolve(root, path.dirname(page), target));
    assert.deepEqual(
      missing((text, page) => localTargets(text).filter((target) => !isThere(page, target))),
      [],
    );
  });

  it("name paths that are there", () => {
    const isThere = (pattern: string) =>
      globSync(pattern, { cwd: root }).length > 0 || existsSync(inRoot(pattern));
    assert.deepEqual(
      missing((text) => namedPaths(text).filter((named) => !isThere(named))),
      [],
    );
  });

  it("name scripts that npm can run", () => {
    const { scripts } = JSON.parse(readFileSync(inRoot("package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    assert.deepEqual(
      missing((text) => namedScripts(text).filter((script) => !Object.hasOwn(scripts, script))),
      [],
    );
  });

  it("are all found from their index", () => {
    const index = localTargets(readFileSync(inRoot("docs/README.md"), "utf8"));
    const listed = new Set(index.map((target) => path.join("docs", target)));
    const own = globSync(["docs/*.md", "docs/decisions/*.md"], { cwd: root });
    assert.deepEqual(
      own.filter((page) => page !== "docs/README.md" && !listed.has(page)),
      [],
    );
  });
});

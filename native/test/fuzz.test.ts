// A few seconds of each fuzz target, where clang was there to build them (make -C native fuzz).
// `build-fuzz/<target> -max_total_time=3600 <folder>` goes deeper.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { makeRichTree } from "./rich-tree.ts";
import { makeDirectory, sh } from "./unpack-program.ts";

const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const built = existsSync(path.join(native, "build-fuzz"));
const seconds = process.env["GANTRY_TEST_DEEP"] === undefined ? 3 : 60;

/** What each target begins with: the formats that are hard to find by chance. */
const seeds: Record<string, string> = {
  tar_reader: `
    for format in '--format=gnu -S' '--format=v7' '--format=ustar' '--format=pax --xattrs -S --sparse-version=0.0' \\
      '--format=pax -S --sparse-version=0.1' '--format=pax -S --sparse-version=1.0'; do
      n=$((n + 1)); (printf '\\003'; tar $format -C ../tree -cf - --exclude=big --exclude=capable . 2>/dev/null || true) > seed$n
    done`,
  decoder: `
    head -c 3000 /dev/urandom > ../random
    for program in gzip bzip2 xz zstd; do $program -c ../random > $program; (echo a | $program -c; echo b | $program -c) > two-$program; done`,
  name_server: `
    printf '\\007\\003web\\022\\064\\001\\000\\000\\001\\000\\000\\000\\000\\000\\001\\003web\\000\\000\\001\\000\\001\\000\\000\\051\\020\\000\\000\\000\\000\\000\\000\\000' > address
    printf '\\007\\003web\\022\\064\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\0011\\0010\\0010\\00210\\007in-addr\\004arpa\\000\\000\\014\\000\\001' > pointer`,
  shim_messages:
    "printf '\\010\\001\\022\\001x\\032\\003abc' > plan; printf '\\010\\007\\022\\000' > request",
  shim_texts: `printf '\\020\\021a\\020\\021' > keys; echo nats://user:pass@127.0.0.1:4222 > url; echo 1000:1000 > user`,
  relay_json: `echo '{"op":"add","id":"a\\\\u00e9","n":-12,"t":true,"z":null}' > object`,
};

function makeCorpus(t: TestContext, target: string): string {
  const work = makeDirectory();
  t.after(work.remove);
  const tree = path.join(work.path, "tree");
  const corpus = path.join(work.path, "corpus");
  mkdirSync(tree);
  mkdirSync(corpus);
  if (target === "tar_reader") makeRichTree(tree);
  sh(seeds[target] ?? "", corpus);
  return corpus;
}

describe("fuzz", { skip: !built && "clang is not here: no fuzz targets were built" }, () => {
  for (const target of Object.keys(seeds)) {
    it(`finds nothing in ${target}`, (t) => {
      const corpus = makeCorpus(t, target);
      const limits = [`-max_total_time=${String(seconds)}`, "-rss_limit_mb=1500", "-timeout=10"];
      const run = spawnSync(path.join(native, "build-fuzz", target), [...limits, corpus], {
        cwd: path.dirname(corpus),
      });
      assert.equal(run.status, 0, run.stderr.toString().slice(-4000));
    });
  }
});

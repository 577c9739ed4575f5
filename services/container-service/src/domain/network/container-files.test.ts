import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  chooseResolver,
  parseResolvConf,
  renderHosts,
  renderResolvConf,
} from "./container-files.ts";

const nothing = { nameservers: [], search: [], options: [] };

describe("resolv.conf", () => {
  it("is the host's without loopback servers", () => {
    const host = parseResolvConf(
      "# c\nnameserver 127.0.0.53\nnameserver 10.0.0.2 ; x\nsearch a b\noptions ndots:2\nnameserver fd00::1\n",
    );
    assert.equal(
      renderResolvConf(chooseResolver(host, nothing, false)),
      "nameserver 10.0.0.2\nsearch a b\noptions ndots:2\n",
    );
    assert.deepEqual(chooseResolver(host, nothing, true).nameservers, ["10.0.0.2", "fd00::1"]);
  });

  it("falls back to public servers when none is left", () => {
    const host = parseResolvConf("nameserver 127.0.0.1\n");
    assert.deepEqual(chooseResolver(host, nothing, false).nameservers, ["8.8.8.8", "8.8.4.4"]);
  });

  it("is overridden list by list; a dot asks for no search domain", () => {
    const host = parseResolvConf("nameserver 10.0.0.2\nsearch a\n");
    const wish = { nameservers: ["1.1.1.1"], search: ["."], options: [] };
    assert.equal(renderResolvConf(chooseResolver(host, wish, false)), "nameserver 1.1.1.1\n");
  });
});

describe("hosts", () => {
  it("has Docker's form", () => {
    assert.equal(
      renderHosts([{ address: "172.17.0.2", names: ["h.example", "h"] }], true),
      [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        "172.17.0.2\th.example h",
        "",
      ].join("\n"),
    );
  });
});

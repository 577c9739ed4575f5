import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fields } from "./fields.ts";
import { type JsonObject, parseJson } from "./json-value.ts";

function read(text: string): Fields {
  const value = parseJson(text);
  assert.ok(value instanceof Map);
  return new Fields(value);
}

describe("Fields", () => {
  it("finds a field whatever its case", () => {
    assert.equal(read('{"iMaGe":"a"}').text("Image"), "a");
    assert.equal(read('{"\\u212Aey":"kelvin"}').text("Key"), "kelvin");
    assert.equal(read('{"u\\u017Fer":"long s"}').text("User"), "long s");
  });

  it("refuses two spellings of one field, so that nobody can read another one than we do", () => {
    assert.throws(() => read('{"Image":"a","image":"b"}').text("Image"), /same field Image/);
    assert.throws(() => read('{"IMAGE":"a","image":"b"}').text("Image"), /same field Image/);
  });

  it("takes null for absent", () => {
    const fields = read('{"A":null,"B":null,"C":null,"D":null,"E":null}');
    assert.equal(fields.text("A"), "");
    assert.equal(fields.texts("B"), undefined);
    assert.equal(fields.object("C"), undefined);
    assert.equal(fields.integer("D"), 0n);
    assert.equal(fields.flag("E"), false);
  });

  it("keeps the case of map keys", () => {
    assert.deepEqual(read('{"labels":{"A":"1","a":"2"}}').textMap("Labels"), { A: "1", a: "2" });
  });

  it("reads integers of 64 bits exactly and refuses others", () => {
    assert.equal(read('{"N":9223372036854771712}').integer("N"), 9223372036854771712n);
    for (const bad of ["1.5", "1e3", "9223372036854775808", '"1"', "true", "[]"]) {
      assert.throws(() => read(`{"N":${bad}}`).integer("N"), /invalid JSON: N: /);
    }
  });

  it("names the path of what doesn't fit", () => {
    const host = read('{"HostConfig":{"Binds":[1]}}').object("HostConfig");
    assert.throws(() => host?.texts("Binds"), /HostConfig\.Binds: expected a string, got number 1/);
  });

  it("complains in Docker's words where its type is known", () => {
    const object = parseJson(
      '{"Name":1,"Flag":"x","Labels":[],"Opts":{"a":true},"IPAM":{"Driver":{}}}',
    );
    const fields = new Fields(object as JsonObject, "", "CreateRequest");
    const into = "Go struct field CreateRequest";
    for (const [act, problem] of [
      [() => fields.text("Name"), `number into ${into}.Name of type string`],
      [() => fields.flag("Flag"), `string into ${into}.Flag of type bool`],
      [() => fields.textMap("Labels"), `array into ${into}.Labels of type map[string]string`],
      [() => fields.textMap("Opts"), `bool into ${into}.Opts.a of type string`],
      [
        () => fields.object("IPAM")?.text("Driver"),
        `object into ${into}.IPAM.Driver of type string`,
      ],
    ] as const) {
      assert.throws(act, { message: `invalid JSON: json: cannot unmarshal ${problem}` });
    }
  });

  it("takes a string for a list of one where Docker does", () => {
    assert.deepEqual(read('{"Cmd":"ls"}').oneOrMoreTexts("Cmd"), ["ls"]);
  });
});

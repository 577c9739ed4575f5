/** The shape of a body, read off the decoder itself: it is run once on an object that has everything. */
import { Fields } from "../../src/http/decode/fields.ts";
import type { JsonObject, JsonValue } from "../../src/http/decode/json-value.ts";

/** What a field is read as. */
export type FieldShape =
  | { readonly kind: "text" | "flag" | "integer" | "texts" | "sizes" | "textMap" | "keys" }
  | { readonly kind: "object" | "objects" | "objectMap" | "objectListMap"; readonly of: Shape };

/** Fields by name. */
export type Shape = Map<string, FieldShape>;

/** Runs a decoder and returns what it asked for. What it throws about our sample values does not matter. */
export function shapeOf(decode: (fields: Fields) => unknown): Shape {
  const shape: Shape = new Map();
  try {
    decode(new RecordingFields(shape));
  } catch {
    // Everything was asked for up to here, which the caller checks.
  }
  return shape;
}

/** Answers every question with a value that fits, and notes it. */
class RecordingFields extends Fields {
  readonly #shape: Shape;

  constructor(shape: Shape) {
    super(new Map());
    this.#shape = shape;
  }

  #note(name: string, shape: FieldShape): void {
    if (!this.#shape.has(name)) this.#shape.set(name, shape);
  }

  #nested(name: string, kind: "object" | "objects" | "objectMap" | "objectListMap"): Fields {
    const known = this.#shape.get(name);
    const of = known !== undefined && "of" in known ? known.of : new Map<string, FieldShape>();
    this.#note(name, { kind, of });
    return new RecordingFields(of);
  }

  override raw(name: string): JsonValue | undefined {
    this.#note(name, { kind: "text" });
    return undefined;
  }

  override has(name: string): boolean {
    return name !== "";
  }

  override optText(name: string): string {
    this.#note(name, { kind: "text" });
    return "";
  }

  override optFlag(name: string): boolean {
    this.#note(name, { kind: "flag" });
    return false;
  }

  override optInteger(name: string): bigint {
    this.#note(name, { kind: "integer" });
    return 0n;
  }

  override list(name: string): JsonValue[] {
    this.#note(name, { kind: "texts" });
    return [];
  }

  override oneOrMoreTexts(name: string): string[] {
    return this.list(name).map(String);
  }

  override sizes(name: string): number[] {
    this.#note(name, { kind: "sizes" });
    return [0, 0];
  }

  override object(name: string): Fields {
    return this.#nested(name, "object");
  }

  override objects(name: string): Fields[] {
    return [this.#nested(name, "objects")];
  }

  override map(name: string): JsonObject {
    this.#note(name, { kind: "textMap" });
    return new Map();
  }

  override keys(name: string): string[] {
    this.#note(name, { kind: "keys" });
    return [];
  }

  override objectMap(name: string): [key: string, fields: Fields | undefined][] {
    return [["key", this.#nested(name, "objectMap")]];
  }

  override objectListMap(name: string): [key: string, list: Fields[]][] {
    return [["80/tcp", [this.#nested(name, "objectListMap")]]];
  }
}

/** Rows of lists that were made before, recognised by the bytes that they were made of. */

/** A generation ends when it holds so many bytes of keys. */
const generationBytes = 4 * 1024 * 1024;

/**
 * Makes each row once per version while it is asked for now and then: what was not asked for during a whole
 * generation is forgotten. Rows must depend on nothing but their bytes and the version.
 */
export class RowMemo<Row> {
  readonly #make: (bytes: Uint8Array, version: number) => Row;
  #rows = new Map<string, Row>();
  #older: ReadonlyMap<string, Row> = new Map();
  #bytes = 0;

  constructor(make: (bytes: Uint8Array, version: number) => Row) {
    this.#make = make;
  }

  row(bytes: Uint8Array, version: number): Row {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    const key = String.fromCharCode(version) + text;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const row = this.#older.get(key) ?? this.#make(bytes, version);
    if (this.#bytes + key.length > generationBytes) {
      this.#older = this.#rows;
      this.#rows = new Map();
      this.#bytes = 0;
    }
    this.#rows.set(key, row);
    this.#bytes += key.length;
    return row;
  }
}

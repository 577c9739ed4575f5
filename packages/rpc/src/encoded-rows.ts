/**
 * Long lists are answers with one repeated message field. Most of their rows are the same as at the last call, so a
 * service may keep a row encoded, and a caller may take the rows undecoded and recognise those that it has seen.
 * On the wire nothing is different.
 */
import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Encodes one row with its length, as listOfRows takes it. */
export function encodeRow<D extends DescMessage>(schema: D, row: MessageInitShape<D>): Uint8Array {
  return new BinaryWriter().bytes(toBinary(schema, create(schema, row))).finish();
}

/** An answer whose rows were encoded by encodeRow. Its field of rows looks empty until it has been sent. */
export function listOfRows<D extends DescMessage>(
  schema: D,
  rows: readonly Uint8Array[],
): MessageShape<D> {
  const no = rowField(schema).number;
  const message = create(schema);
  // Bytes of this kind are written as they are.
  message.$unknown = rows.map((data) => ({ no, wireType: WireType.LengthDelimited, data }));
  return message;
}

/** The rows of an encoded answer, each without its length. They share the memory of `bytes`. */
export function splitRows(schema: DescMessage, bytes: Uint8Array): Uint8Array[] {
  const { number } = rowField(schema);
  const reader = new BinaryReader(bytes);
  const rows: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === number && wireType === WireType.LengthDelimited) rows.push(reader.bytes());
    else reader.skip(wireType, no);
  }
  return rows;
}

function rowField({ fields, typeName }: DescMessage): DescField {
  const [field] = fields;
  if (field === undefined || fields.length !== 1 || field.fieldKind !== "list") {
    throw new TypeError(`${typeName} is no list of rows`);
  }
  return field;
}

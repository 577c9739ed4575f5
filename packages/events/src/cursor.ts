import { invalidArgument } from "@gantry/errors";

/** A position in one service's log. On the wire it is opaque text. */
export interface Cursor {
  readonly service: string;
  readonly storeId: string;
  /** The last event that the holder has seen. */
  readonly seq: number;
}

/** Writes a cursor as text. */
export function formatCursor(cursor: Cursor): string {
  const plain = `${cursor.service}:${cursor.storeId}:${String(cursor.seq)}`;
  return Buffer.from(plain).toString("base64url");
}

/** Reads a cursor. Throws invalid_argument when the text is not one of ours. */
export function parseCursor(text: string): Cursor {
  const plain = Buffer.from(text, "base64url").toString();
  const match = /^([a-z-]+):([0-9a-f]+):(\d{1,15})$/.exec(plain);
  if (match === null) throw invalidArgument("malformed event cursor");
  return { service: match[1] ?? "", storeId: match[2] ?? "", seq: Number(match[3]) };
}

/** Records of Docker's json-file format, and how they are shown. */

/** One record. */
export interface LogRecord {
  /** With its newline, unless a long line was cut here or the output ended without one. */
  readonly text: string;
  readonly stream: "stdout" | "stderr";
  /** Nanoseconds since the epoch. */
  readonly timeNano: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A line of the file, or undefined when it is none (a torn write, a foreign hand). */
export function parseLogLine(line: Buffer): LogRecord | undefined {
  try {
    const { log, stream, time, attrs } = JSON.parse(line.toString("utf8")) as Record<
      string,
      unknown
    >;
    const timeNano = typeof time === "string" ? parseTime(time) : undefined;
    if (typeof log !== "string" || timeNano === undefined) return undefined;
    return {
      text: log,
      stream: stream === "stderr" ? "stderr" : "stdout",
      timeNano,
      attributes:
        typeof attrs === "object" && attrs !== null ? (attrs as Record<string, string>) : {},
    };
  } catch {
    return undefined;
  }
}

/** RFC 3339 with up to nine digits of fraction, in UTC. */
function parseTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  if (match === null) return undefined;
  const seconds = Date.parse(`${match[1] ?? ""}Z`) / 1000;
  return BigInt(seconds) * 1_000_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** `2026-01-02T03:04:05.000000006Z`: always nine digits. */
export function formatTime(nano: bigint): string {
  const milliseconds = Number(nano / 1_000_000n);
  const fraction = String(nano % 1_000_000_000n).padStart(9, "0");
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** `k=v,k2=v2`, sorted and escaped. */
function formatAttributes(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join(",");
}

/** What is put before each line. */
export interface LogDecoration {
  readonly timestamps: boolean;
  readonly details: boolean;
}

/** Text of a record as a client gets it. */
export function showRecord(record: LogRecord, { timestamps, details }: LogDecoration): string {
  const time = timestamps ? `${formatTime(record.timeNano)} ` : "";
  const attributes = details ? `${formatAttributes(record.attributes)} ` : "";
  return `${time}${attributes}${record.text}`;
}

const streamNumbers = { stdout: 1, stderr: 2 } as const;
const headerBytes = 8;

/** Docker's frame: stream, three zeros, big-endian length, payload. */
export function frame(stream: LogRecord["stream"], payload: string): Buffer {
  const length = Buffer.byteLength(payload);
  const bytes = Buffer.allocUnsafe(headerBytes + length);
  bytes.writeUInt32BE(streamNumbers[stream] * 0x1000000, 0);
  bytes.writeUInt32BE(length, 4);
  bytes.write(payload, headerBytes, "utf8");
  return bytes;
}

/** Dates as Go's time.Parse reads them, and what it says of those that are none: clients get its words. */

/** A piece of a layout: how the layout writes it, and what a text may have for it. */
interface Part {
  readonly layout: string;
  readonly form: RegExp;
  /** Least and greatest value; Go says `<name> out of range`. */
  readonly range?: readonly [least: number, greatest: number, name: string];
}

const literal = (layout: string): Part => ({ layout, form: new RegExp(`^${layout}`) });
const dash = literal("-");
const colon = literal(":");
const year: Part = { layout: "2006", form: /^\d{4}/ };
const month: Part = { layout: "01", form: /^\d\d/, range: [1, 12, "month"] };
// Its range is looked at when the month is known.
const day: Part = { layout: "02", form: /^\d\d/ };
const hour: Part = { layout: "15", form: /^\d\d?/, range: [0, 23, "hour"] };
const minute: Part = { layout: "04", form: /^\d\d/, range: [0, 59, "minute"] };
const second: Part = { layout: "05", form: /^\d\d/, range: [0, 59, "second"] };
const fraction: Part = { layout: ".999999999", form: /^(?:[.,]\d{1,9})?/ };
const zone: Part = { layout: "Z07:00", form: /^(?:Z|[+-]\d\d:\d\d)/ };

/** What a text like this one is read by. */
function layoutOf(text: string): readonly Part[] {
  const hasZone = /[zZ+]/.test(text) || text.split("-").length === 4;
  const zones = hasZone ? [zone] : [];
  const toTheHour = [year, dash, month, dash, day, literal("T"), hour];
  const whole = [...toTheHour, colon, minute, colon, second];
  if (text.includes(".")) return [...whole, fraction, ...zones];
  if (!text.includes("T")) return [...toTheHour.slice(0, 5), ...zones];
  const inZone = hasZone && !/z/i.test(text) ? 1 : 0;
  const colons = Math.max(text.split(":").length - 1 - inZone, 0);
  return [...whole.slice(0, [7, 9][colons]), ...zones];
}

/** Nanoseconds since the epoch, or Go's complaint. @param localMinutes of the zone that a text without one means */
export function parseGoDate(
  text: string,
  localMinutes: number,
): { readonly nano: bigint } | { readonly problem: string } {
  const layout = layoutOf(text);
  const shown = `parsing time ${quoted(text)}`;
  const found = new Map<Part, string>();
  let rest = text;
  for (const part of layout) {
    const [match] = part.form.exec(rest) ?? [];
    if (match === undefined) {
      const whole = layout.map((each) => each.layout).join("");
      return {
        problem: `${shown} as "${whole}": cannot parse ${quoted(rest)} as "${part.layout}"`,
      };
    }
    const [least, greatest, name] = part.range ?? [0, Infinity, ""];
    if (Number(match) < least || Number(match) > greatest) {
      return { problem: `${shown}: ${name} out of range` };
    }
    found.set(part, match);
    rest = rest.slice(match.length);
  }
  if (rest !== "") return { problem: `${shown}: extra text: ${quoted(rest)}` };
  const number = (part: Part): number => Number(found.get(part) ?? 0);
  const midnight = new Date(0);
  midnight.setUTCFullYear(number(year), number(month) - 1, number(day));
  if (midnight.getUTCDate() !== number(day)) return { problem: `${shown}: day out of range` };
  const minutes = number(hour) * 60 + number(minute) - (offset(found.get(zone)) ?? localMinutes);
  const seconds = midnight.getTime() / 1000 + minutes * 60 + number(second);
  const nanos = (found.get(fraction) ?? "").slice(1).padEnd(9, "0");
  return { nano: BigInt(seconds) * 1_000_000_000n + BigInt(nanos) };
}

/** Minutes east. */
function offset(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (text === "Z") return 0;
  const minutes = Number(text.slice(1, 3)) * 60 + Number(text.slice(4));
  return text.startsWith("-") ? -minutes : minutes;
}

/** As the time package quotes: bytes beyond ASCII are hexadecimal. */
function quoted(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => {
    if (byte < 0x20 || byte > 0x7f) return `\\x${byte.toString(16).padStart(2, "0")}`;
    const character = String.fromCharCode(byte);
    return character === '"' || character === "\\" ? `\\${character}` : character;
  });
  return `"${bytes.join("")}"`;
}

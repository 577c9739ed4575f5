/** What Go's time.Parse says of a date that is none, in the words that clients get from Docker. */

/** The parts of a layout in their order: how the layout writes one, and what a text may have for it. */
const parts: readonly (readonly [
  layout: string,
  form: RegExp,
  range?: readonly [number, number],
])[] = [
  ["2006", /^\d{4}/],
  ["-", /^-/],
  ["01", /^\d\d/, [1, 12]],
  ["-", /^-/],
  ["02", /^\d\d/, [1, 31]],
];
const names = new Map([
  ["01", "month"],
  ["02", "day"],
]);

/**
 * The complaint about a text with a dash, which Docker takes for a date. Undefined: it has none, or its date
 * is right and the fault is in the time of day.
 */
export function dateProblem(text: string): string | undefined {
  if (!text.includes("-") || /[T.zZ+]/.test(text)) return undefined;
  const shown = `parsing time ${JSON.stringify(text)}`;
  let rest = text;
  for (const [layout, form, range] of parts) {
    const [found] = form.exec(rest) ?? [];
    if (found === undefined) {
      return `${shown} as "2006-01-02": cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(layout)}`;
    }
    const number = Number(found);
    if (range !== undefined && (number < range[0] || number > range[1])) {
      return `${shown}: ${names.get(layout) ?? layout} out of range`;
    }
    rest = rest.slice(found.length);
  }
  return rest === ""
    ? `${shown}: day out of range`
    : `${shown}: extra text: ${JSON.stringify(rest)}`;
}

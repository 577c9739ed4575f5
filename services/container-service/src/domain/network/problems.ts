/** Several problems in one message, as Docker joins them. */

/** A single one stands alone; of several each has a line of its own that begins with a star. */
export function joinProblems(problems: readonly string[]): string {
  if (problems.length < 2) return problems[0] ?? "";
  return problems.map((each) => `* ${each.replaceAll("\n", "\n\t")}`).join("\n");
}

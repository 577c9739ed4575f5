/** Imported for its effect: a script that fails says why in a line, not in a stack trace. */
import { complain } from "@gantry/logging";

process.on("uncaughtException", (error) => {
  complain(`gantry: ${messageOf(error)}`);
  if (process.env["GANTRY_LOG_LEVEL"] === "debug") complain(error.stack ?? "");
  process.exit(1);
});

function messageOf(error: Error): string {
  const parts = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return [error.message, ...parts.map((part) => `  ${String(part)}`)].join("\n");
}

/** Answers to what clients ask of a Dockerfile beside building it (`--print`, `--call`, `--check`), as BuildKit gives them. */

import type { LineRange } from "../../domain/dockerfile/syntax-error.ts";
import { aboutRule } from "../../domain/lint/rules.ts";
import type { LintReport, Outline, TargetFacts } from "../../ports/dockerfile-facts.ts";
import { codes, jsonDetail, WireFailure } from "../wire/failure.ts";

/** Questions that are answered. */
export type SubrequestName = keyof typeof definitions;

/** Entries of a result's metadata. */
export type SubrequestAnswer = Readonly<Record<string, string>>;

/** The Dockerfile that an answer is about. */
export interface AskedFile {
  readonly filename: string;
  readonly data: Uint8Array;
}

const version = "1.0.0";
const target = [{ name: "target", description: "Target build stage" }];

/** What each is, as a list of them tells. */
const definitions = {
  "frontend.outline": {
    description: "List all parameters current build target supports",
    opts: target,
  },
  "frontend.targets": { description: "List all targets current build supports", opts: [] },
  "frontend.lint": { description: "Lint a Dockerfile", opts: [] },
  "frontend.subrequests.describe": { description: "List available subrequest types", opts: null },
} as const;

/** Asked for by name only. */
const unlisted: ReadonlySet<string> = new Set<SubrequestName>(["frontend.lint"]);

/** The question of a request; undefined: it wants to build. Throws unimplemented for what is no question. */
export function subrequestOf(attrs: Readonly<Record<string, string>>): SubrequestName | undefined {
  const asked = attrs["requestid"] ?? "";
  if (asked === "") return undefined;
  if (Object.hasOwn(definitions, asked)) return asked as SubrequestName;
  throw new WireFailure(codes.unimplemented, `unsupported request ${asked}`, [
    jsonDetail("errdefs.Subrequest+json", { name: asked }),
  ]);
}

export function describeAnswer(): SubrequestAnswer {
  const listed = Object.entries(definitions).filter(([name]) => !unlisted.has(name));
  const results = ["result.json", "result.txt"].map((name) => ({ name, description: "" }));
  const json = listed.map(([name, { description, opts }]) => ({
    ...{
      name,
      version,
      type: "rpc",
      description,
      opts,
      inputs: null,
      metadata: results,
      refs: null,
    },
  }));
  const rows = listed.map(([name, { description }]) => [
    ...[name.replace(/^frontend\./, ""), version, description],
  ]);
  return answer(json, table([["NAME", "VERSION", "DESCRIPTION"], ...rows], 1));
}

export function targetsAnswer(targets: readonly TargetFacts[], file: AskedFile): SubrequestAnswer {
  const json = {
    targets: targets.map(({ name, isDefault, description, base, platform, lines }) => ({
      ...(name !== "" && { name }),
      ...(isDefault && { default: true }),
      ...(description !== "" && { description }),
      ...(base !== "" && { base }),
      ...(platform !== "" && { platform }),
      location: locationOf(lines),
    })),
    sources: [base64(file.data)],
  };
  const rows = targets.map(({ name, isDefault, description }) => [
    ...[[name, isDefault ? "(default)" : ""].filter((each) => each !== "").join(" "), description],
  ]);
  return answer(json, table([["TARGET", "DESCRIPTION"], ...rows], 1));
}

export function outlineAnswer(outline: Outline, file: AskedFile): SubrequestAnswer {
  const { name, description, args } = outline;
  const loans = (list: Outline["secrets"]): object[] =>
    list.map(({ lines, required, ...each }) => ({
      ...{ name: each.name, ...(required && { required }), location: locationOf(lines) },
    }));
  const json = {
    ...(name !== "" && { name }),
    ...(description !== "" && { description }),
    ...(args.length > 0 && {
      args: args.map((each) => ({
        name: each.name,
        ...(each.description !== "" && { description: each.description }),
        ...((each.value ?? "") !== "" && { value: each.value }),
        location: locationOf(each.lines),
      })),
    }),
    ...(outline.secrets.length > 0 && { secrets: loans(outline.secrets) }),
    ...(outline.ssh.length > 0 && { ssh: loans(outline.ssh) }),
    sources: [base64(file.data)],
  };
  return answer(json, outlineText(outline));
}

function outlineText({ name, description, args, secrets, ssh }: Outline): string {
  const head = [
    ...(name === "" ? [] : [["TARGET:", name]]),
    ...(description === "" ? [] : [["DESCRIPTION:", description]]),
  ];
  const loans = (title: string, list: Outline["secrets"]): string[][] =>
    list.length === 0
      ? []
      : [[title, "REQUIRED"], ...list.map((each) => [each.name, each.required ? "true" : ""])];
  const values = args.map((each) => [each.name, each.value ?? "", each.description]);
  return [
    head,
    values.length === 0 ? [] : [["BUILD ARG", "VALUE", "DESCRIPTION"], ...values],
    loans("SECRET", secrets),
    loans("SSH", ssh),
  ]
    .filter((rows) => rows.length > 0)
    .map((rows) => `${table(rows, 3)}\n`)
    .join("");
}

export function lintAnswer(report: LintReport, file: AskedFile): SubrequestAnswer {
  const { failure } = report;
  const findings = report.findings.toSorted((one, other) => one.lines.first - other.lines.first);
  const warnings = findings.map(({ rule, message, lines }) => {
    const { description, url } = aboutRule(rule);
    return {
      ...{ ruleName: rule, description, ...(url !== "" && { url }) },
      ...{ detail: message, location: locationOf(lines) },
    };
  });
  const json = {
    warnings: warnings.length === 0 ? null : warnings,
    sources: [
      {
        ...{ fileName: file.filename, language: "Dockerfile", definition: null },
        data: base64(file.data),
      },
    ],
    ...(failure !== undefined && {
      buildError: {
        message: failure.message,
        ...(failure.place !== undefined && { location: locationOf(failure.place.lines) }),
      },
    }),
  };
  const text = warnings.map(({ ruleName, url, detail }, index) => {
    const title = url === undefined ? ruleName : `${ruleName} - ${url}`;
    const lines = findings[index]?.lines ?? { first: 1, last: 1 };
    return `\nWARNING: ${title}\n${detail}\n${excerpt(file, lines)}`;
  });
  const isClean = warnings.length === 0 && failure === undefined;
  return { ...answer(json, text.join("")), "result.statuscode": isClean ? "0" : "1" };
}

/** Lines of a file with two around them, the ones meant marked. */
function excerpt({ filename, data }: AskedFile, { first, last }: LineRange): string {
  const around = 2;
  const rule = "-".repeat(20);
  const lines = new TextDecoder().decode(data).split("\n");
  const begin = Math.max(1, first - around);
  const shown = lines.slice(begin - 1, last + around).map((line, index) => {
    const number = begin + index;
    const mark = number >= first && number <= last ? ">>>" : "   ";
    return `${String(number).padStart(4)} | ${mark} ${line.replace(/\r$/, "")}`;
  });
  const place = first === last ? String(first) : `${String(first)}-${String(last)}`;
  return [`${filename}:${place}`, rule, ...shown, rule, ""].join("\n");
}

function answer(json: object, text: string): SubrequestAnswer {
  return { "result.json": JSON.stringify(json, undefined, 2), "result.txt": text, version };
}

/** Lines are the protocol's; those that are 0 are left out in its JSON. */
function locationOf({ first, last }: LineRange): object {
  return { ranges: [{ start: { line: first }, end: { line: last } }] };
}

/** Columns, each as wide as its longest cell. */
function table(rows: readonly (readonly string[])[], gap: number): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === columns - 1 ? cell : cell.padEnd((widths[i] ?? 0) + gap))).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

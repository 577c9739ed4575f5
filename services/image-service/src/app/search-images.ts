/** `docker search`. */
import { invalidArgument } from "@gantry/errors";
import { booleanFilter, checkFilterKeys, type Filters } from "../domain/filters.ts";
import type { Credential, FoundRepository, Registries } from "../ports/registry.ts";

const defaultLimit = 25;
const maxLimit = 100;

export interface SearchRequest {
  readonly term: string;
  /** 0 = 25. */
  readonly limit: number;
  readonly filters: Filters;
  readonly credential: Credential | undefined;
  readonly signal: AbortSignal;
}

/** `host:port/term` searches that registry, all else the hub. */
export async function searchImages(
  registries: Registries,
  request: SearchRequest,
): Promise<readonly FoundRepository[]> {
  const { filters, limit } = request;
  if (limit !== 0 && (limit < 1 || limit > maxLimit)) {
    throw invalidArgument(`limit ${limit} is outside the range of [1, ${maxLimit}]`);
  }
  checkFilterKeys(filters, ["stars", "is-official", "is-automated"]);
  const official = booleanFilter(filters, "is-official");
  const automated = booleanFilter(filters, "is-automated");
  const stars = Math.max(0, ...(filters.get("stars") ?? []).map(starCount));
  if (automated === true) return [];
  const { domain, term } = splitTerm(request.term);
  const found = await registries.search(
    domain,
    term,
    limit || defaultLimit,
    request.credential,
    request.signal,
  );
  return found.filter(
    (each) => each.starCount >= stars && (official === undefined || each.isOfficial === official),
  );
}

function starCount(text: string): number {
  if (!/^\d+$/.test(text)) {
    const problem = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
    throw invalidArgument(`invalid filter 'stars=${text}': ${problem}`);
  }
  return Number(text);
}

function splitTerm(text: string): { domain: string; term: string } {
  if (text.includes("://")) {
    throw invalidArgument(
      `invalid repository name: repository name (${text}) should not have a scheme`,
    );
  }
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === "localhost";
  return isHost
    ? { domain: first, term: text.slice(slash + 1) }
    : { domain: "docker.io", term: text };
}

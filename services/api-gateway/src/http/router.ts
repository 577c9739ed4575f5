/**
 * Routing as Docker's router does it: names are greedy (`/images/a/b:c/json` is the image `a/b:c`),
 * fixed routes win over greedy ones, and there is no 405.
 */
import type { Handler, Method, Route } from "./route.ts";

/** What a path means. */
export type Match =
  | { readonly kind: "route"; readonly route: Route; readonly params: readonly string[] }
  /** The path has an empty segment where a name belongs: the client is sent to the cleaned path. */
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "none" };

interface Greedy {
  readonly route: Route;
  readonly prefix: string;
  readonly suffix: string;
  /** Between two names; undefined when there is one. */
  readonly middle: string | undefined;
}

/** Finds the route of a method and a decoded path without version. */
export class Router {
  readonly #fixed = new Map<string, Route>();
  readonly #greedy = new Map<string, Greedy[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) this.#add(route);
    for (const list of this.#greedy.values()) {
      list.sort((a, b) => length(b) - length(a));
    }
  }

  match(method: Method, path: string): Match {
    const fixed = this.#fixed.get(`${method} ${path}`);
    if (fixed !== undefined) return { kind: "route", route: fixed, params: [] };
    if (hasDots.test(path)) return { kind: "redirect", location: cleaned(path) };
    const greedyRoutes =
      this.#greedy.get(`${method} ${firstSegment(path)}`) ?? this.#greedy.get(`${method} /`) ?? [];
    for (const greedy of greedyRoutes) {
      const params = capture(greedy, path);
      if (params === undefined) continue;
      if (params.some(isEmptyName)) return { kind: "redirect", location: cleaned(path) };
      return { kind: "route", route: greedy.route, params };
    }
    return path.includes("//") && path !== "//"
      ? { kind: "redirect", location: cleaned(path) }
      : { kind: "none" };
  }

  #add(route: Route): void {
    const parts = route.path.split(/\{[a-z]+\}/);
    const [prefix = "", second, third] = parts;
    if (second === undefined) {
      this.#fixed.set(`${route.method} ${route.path}`, route);
      return;
    }
    const greedy = {
      route,
      prefix,
      suffix: third ?? second,
      middle: third === undefined ? undefined : second,
    };
    const key = `${route.method} ${firstSegment(prefix)}`;
    const list = this.#greedy.get(key);
    if (list === undefined) this.#greedy.set(key, [greedy]);
    else list.push(greedy);
  }
}

const hasDots = /\/\.{1,2}(\/|$)/;

const length = (greedy: Greedy): number => greedy.suffix.length + (greedy.middle?.length ?? 0);

function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path : path.slice(0, end);
}

/** The names in the path, or undefined when the path is not of this form. */
function capture({ prefix, suffix, middle }: Greedy, path: string): string[] | undefined {
  if (!path.startsWith(prefix) || !path.endsWith(suffix)) return undefined;
  if (path.length < prefix.length + suffix.length) return undefined;
  const rest = path.slice(prefix.length, path.length - suffix.length);
  if (middle === undefined) return [rest];
  const at = rest.lastIndexOf(middle);
  return at === -1 ? undefined : [rest.slice(0, at), rest.slice(at + middle.length)];
}

/** A slash in front is part of a container's name; anywhere else two in a row have nothing between them. */
const isEmptyName = (name: string): boolean =>
  name === "" || name.endsWith("/") || name.includes("//");

/** The path without empty and dot segments. */
function cleaned(path: string): string {
  const out: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") out.pop();
    else if (segment !== "" && segment !== ".") out.push(encodeURIComponent(segment));
  }
  return `/${out.join("/")}`;
}

export type { Handler };

/**
 * Names of images: the grammar of the distribution project's reference package, and Docker's
 * shorthand (`busybox` is `docker.io/library/busybox`). All functions are pure.
 *
 *   reference  := name [ ":" tag ] [ "@" digest ]
 *   name       := [ domain "/" ] path
 *   domain     := host [ ":" port ]
 *   path       := component ( "/" component )*
 *   component  := alpha-numeric ( separator alpha-numeric )*    separator: one "." , one or two "_", any "-"
 *   tag        := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
 */
import { invalidArgument } from "@gantry/errors";
import { type Digest, isDigest } from "./digest.ts";

/** A name with everything filled in that Docker's shorthand leaves out, the tag apart. */
export interface Reference {
  /** `docker.io`, `localhost:5000`, … */
  readonly domain: string;
  /** `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const defaultDomain = "docker.io";
const legacyDomain = "index.docker.io";
const officialPrefix = "library/";

/** Longest name without tag and digest. */
const maxNameLength = 255;

const label = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagForm = /^\w[\w.-]{0,127}$/;
const hexId = /^[a-f0-9]{64}$/;

/** No text of a reference is longer than this: name, tag, digest and their separators. */
const maxTextLength = maxNameLength + 1 + 128 + 1 + 136;

function malformed(): never {
  throw invalidArgument("invalid reference format");
}

/** Reads a reference as people write it. Throws invalid_argument with Docker's words. */
export function parseReference(text: string): Reference {
  if (hexId.test(text)) {
    throw invalidArgument(
      `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`,
    );
  }
  if (text.length > maxTextLength) malformed();
  const { name, tag, digest } = splitParts(text);
  const { domain, path } = splitDomain(name);
  if (path.toLowerCase() !== path && path !== "" && isRepositoryShaped(path.toLowerCase())) {
    throw invalidArgument(`invalid reference format: repository name (${path}) must be lowercase`);
  }
  checkDomain(domain);
  if (!isRepositoryShaped(path)) malformed();
  if (domain.length + 1 + path.length > maxNameLength) {
    throw invalidArgument(`repository name must not be more than ${maxNameLength} characters`);
  }
  return {
    domain,
    path,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

function splitParts(text: string): { name: string; tag?: string; digest?: Digest } {
  let name = text;
  let digest: Digest | undefined;
  const at = text.indexOf("@");
  if (at >= 0) {
    const candidate = text.slice(at + 1);
    if (!isDigest(candidate)) malformed();
    digest = candidate;
    name = text.slice(0, at);
  }
  let tag: string | undefined;
  const colon = name.lastIndexOf(":");
  if (colon > name.lastIndexOf("/")) {
    tag = name.slice(colon + 1);
    if (!tagForm.test(tag)) malformed();
    name = name.slice(0, colon);
  }
  return { name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** The first component is a domain when it looks like a host: a dot, a port, `localhost` or capitals. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first;
  const domain = isHost ? first : defaultDomain;
  const rest = isHost ? name.slice(slash + 1) : name;
  if (domain !== defaultDomain && domain !== legacyDomain) return { domain, path: rest };
  return { domain: defaultDomain, path: rest.includes("/") ? rest : `${officialPrefix}${rest}` };
}

function checkDomain(domain: string): void {
  const bracketed = /^(\[[0-9a-fA-F:]+\])(?::(\d+))?$/.exec(domain);
  if (bracketed !== null) return;
  const [host = "", port, ...more] = domain.split(":");
  if (more.length > 0 || (port !== undefined && !/^\d+$/.test(port))) malformed();
  if (!host.split(".").every((each) => label.test(each))) malformed();
}

function isRepositoryShaped(path: string): boolean {
  return path.split("/").every((each) => component.test(each));
}

/** Whether a text may be a tag. */
export function isTag(text: string): boolean {
  return tagForm.test(text);
}

/** The reference with tag `latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference;
  return { ...reference, tag: "latest" };
}

/** Only the repository. */
export function repositoryOf(reference: Reference): Reference {
  return { domain: reference.domain, path: reference.path };
}

function suffix(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/** The full form, by which we store: `docker.io/library/busybox:latest`. */
export function canonicalName(reference: Reference): string {
  return `${reference.domain}/${reference.path}${suffix(reference)}`;
}

/** The short form, which Docker shows: `busybox:latest`. */
export function familiarName(reference: Reference): string {
  return `${familiarRepository(reference)}${suffix(reference)}`;
}

/** The short form without tag and digest. */
export function familiarRepository(reference: Reference): string {
  if (reference.domain !== defaultDomain) return `${reference.domain}/${reference.path}`;
  const { path } = reference;
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  // `library/a/b` must not become `a/b`, which is another repository.
  return short.includes("/") && short !== path ? path : short;
}

/** A token server as registries want it: basic credentials in, a signed token (ES256) out. */
import { sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { TestCertificate } from "./certificate.ts";

export interface TokenServerOptions {
  /** Its key signs; the registry trusts its certificate. */
  readonly certificate: TestCertificate;
  readonly service: string;
  readonly issuer: string;
  readonly users: Readonly<Record<string, string>>;
  /** Actions that are granted without credentials, for example `["pull"]`. */
  readonly anonymous: readonly string[];
}

export interface TokenServer extends AsyncDisposable {
  /** Its URL. */
  readonly realm: string;
  /** `<user or "">: <scope>`, in order. */
  readonly asked: readonly string[];
}

export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://localhost");
    const user = userOf(request, options.users);
    const scopes = url.searchParams.getAll("scope").flatMap((scope) => scope.split(" "));
    asked.push(`${user ?? ""}: ${scopes.join(" ")}`);
    if (request.headers.authorization !== undefined && user === undefined) {
      response.writeHead(401).end("{}");
      return;
    }
    const access = scopes
      .filter((scope) => scope !== "")
      .map((scope) => grant(scope, user, options));
    const token = makeToken(options, user ?? "", access);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    realm: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/token`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function userOf(
  request: http.IncomingMessage,
  users: Readonly<Record<string, string>>,
): string | undefined {
  const encoded = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  const [name = "", password = ""] = Buffer.from(encoded, "base64").toString().split(":");
  return Object.hasOwn(users, name) && users[name] === password ? name : undefined;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** `repository:a/b:pull,push`. */
function grant(scope: string, user: string | undefined, { anonymous }: TokenServerOptions): Access {
  const [type = "", ...rest] = scope.split(":");
  const wanted = (rest.pop() ?? "").split(",");
  const actions = user === undefined ? wanted.filter((each) => anonymous.includes(each)) : wanted;
  return { type, name: rest.join(":"), actions };
}

function makeToken(options: TokenServerOptions, sub: string, access: readonly Access[]): string {
  const { certificate, issuer: iss, service: aud } = options;
  const now = Math.floor(Date.now() / 1000);
  const x5c = [new X509Certificate(certificate.cert).raw.toString("base64")];
  const claims = { iss, sub, aud, access, iat: now, nbf: now - 10, exp: now + 300 };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part({ typ: "JWT", alg: "ES256", x5c })}.${part({ ...claims, jti: String(now) })}`;
  const key = { key: certificate.key, dsaEncoding: "ieee-p1363" } as const;
  return `${body}.${sign("sha256", Buffer.from(body), key).toString("base64url")}`;
}

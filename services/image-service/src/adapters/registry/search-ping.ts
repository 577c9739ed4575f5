/** Whether a registry is there at all: Docker asks this before it searches one that is not the hub. */
import { invalidArgument, toEngineError } from "@gantry/errors";
import { type Endpoint, urlAt } from "./endpoints.ts";
import { dropBody, type HttpClient } from "./http-client.ts";

/** Any answer will do. Throws invalid_argument with what became of each way. */
export async function pingForSearch(
  client: HttpClient,
  endpoints: readonly Endpoint[],
  signal: AbortSignal,
): Promise<void> {
  const failures: string[] = [];
  for (const endpoint of endpoints) {
    const url = urlAt(endpoint, "/v1/_ping");
    try {
      const called = `${endpoint.base}/v1/_ping`;
      const { tls } = endpoint;
      dropBody(await client.send({ method: "GET", url, called, headers: {}, tls, signal }));
      return;
    } catch (error) {
      signal.throwIfAborted();
      failures.push(toEngineError(error).message);
    }
  }
  throw invalidArgument(unreachable(endpoints, failures));
}

function unreachable(endpoints: readonly Endpoint[], failures: readonly string[]): string {
  const base = endpoints.at(-1)?.base ?? "";
  const [first = "", second] = failures;
  if (second !== undefined) {
    return `invalid registry endpoint "${base}/v1/". HTTPS attempt: ${first}. HTTP attempt: ${second}`;
  }
  const host = base.replace(/^https?:\/\//, "");
  return (
    `invalid registry endpoint ${base}/v1/: ${first}. If this private registry supports only HTTP or HTTPS with an ` +
    `unknown CA certificate, please add \`--insecure-registry ${host}\` to the daemon's arguments. In the case of HTTPS, if ` +
    "you have access to the registry's CA certificate, no need for the flag; place the CA certificate at " +
    `/etc/docker/certs.d/${host}/ca.crt`
  );
}

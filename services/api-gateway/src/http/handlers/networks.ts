/** Handlers of networks. */
import { EngineError, invalidArgument } from "@gantry/errors";
import { newestApiMinor } from "../../identity.ts";
import type { ApiCall } from "../api-call.ts";
import { decodeEndpoint } from "../decode/endpoint.ts";
import type { Fields } from "../decode/fields.ts";
import { filterSet, readFilters } from "../decode/filters.ts";
import { given } from "../decode/init.ts";
import { nullIfEmpty } from "../encode/json.ts";
import { encodeNetwork, encodeNetworkSummary } from "../encode/network.ts";
import { opened } from "../encode/version-gates.ts";

const listKeys = new Set(["dangling", "driver", "id", "label", "name", "scope", "type"]);

/** GET /networks */
export async function listNetworks(call: ApiCall): Promise<void> {
  const filters = filterSet(readFilters(call.query, listKeys));
  const { networks } = await call.backends.networks.listNetworks({ filters });
  call.json(networks.map((each) => encodeNetworkSummary(each, call.version)));
}

/** GET /networks/{id} */
export async function inspectNetwork(call: ApiCall): Promise<void> {
  const scope = call.query.text("scope");
  checkVerbose(call.query.text("verbose"));
  const { network } = await call.backends.networks.inspectNetwork({ network: call.name, scope });
  if (network === undefined) throw new EngineError("internal", "the answer has no network");
  call.json(encodeNetwork(network, call.version));
}

/** `verbose` tells more of swarm networks, of which there are none; a wrong value is an error all the same. */
function checkVerbose(text: string): void {
  if (
    ["", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"].includes(
      text,
    )
  )
    return;
  throw invalidArgument(
    `invalid value for verbose: ${text}: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

/** POST /networks/create */
export async function createNetwork(call: ApiCall): Promise<void> {
  const body = await call.jsonBody("network.CreateRequest");
  const created = await call.backends.networks.createNetwork(
    given({
      name: body.text("Name"),
      driver: body.text("Driver"),
      scope: body.text("Scope"),
      enableIpv4: opened("enableIpv4", call.version) ? body.optFlag("EnableIPv4") : undefined,
      enableIpv6: body.optFlag("EnableIPv6"),
      ipam: decodeIpam(body.object("IPAM")),
      internal: body.flag("Internal"),
      attachable: body.flag("Attachable"),
      ingress: body.flag("Ingress"),
      configOnly: body.flag("ConfigOnly"),
      configFrom: body.object("ConfigFrom")?.text("Network") ?? "",
      options: body.textMap("Options") ?? {},
      labels: body.textMap("Labels") ?? {},
    }),
  );
  call.json({ Id: created.id, Warning: created.warning }, 201);
}

function decodeIpam(ipam: Fields | undefined) {
  if (ipam === undefined) return undefined;
  return {
    driver: ipam.text("Driver"),
    options: ipam.textMap("Options") ?? {},
    hasOptions: ipam.textMap("Options") !== undefined,
    config: ipam.structs("Config").map((each) => ({
      subnet: each.text("Subnet"),
      ipRange: each.text("IPRange"),
      gateway: each.text("Gateway"),
      auxiliaryAddresses: each.textMap("AuxiliaryAddresses") ?? each.textMap("AuxAddress") ?? {},
    })),
  };
}

/** DELETE /networks/{id} */
export async function removeNetwork(call: ApiCall): Promise<void> {
  await call.backends.networks.removeNetwork({ network: call.name });
  call.empty(204);
}

/** Six bytes, as Docker reads them: by colons, by hyphens, or in threes by dots. */
const macAddress =
  /^(?:(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})$/i;

/** POST /networks/{id}/connect */
export async function connectNetwork(call: ApiCall): Promise<void> {
  const body = await call.jsonBody("network.ConnectOptions");
  const endpoint = body.object("EndpointConfig");
  // A MAC address is taken here from 1.54 on; before, Docker ignored all but wrong ones.
  const mac = endpoint?.text("MacAddress") ?? "";
  if (mac !== "" && !macAddress.test(mac)) throw invalidArgument(`invalid MAC address ${mac}`);
  await call.backends.networks.connectNetwork({
    network: call.name,
    container: body.text("Container"),
    // Unlike create, this takes a gateway priority in every version.
    endpoint: { ...decodeEndpoint(endpoint, newestApiMinor), macAddress: "" },
    apiVersion: call.apiVersion,
  });
  call.empty(200);
}

/** POST /networks/{id}/disconnect */
export async function disconnectNetwork(call: ApiCall): Promise<void> {
  const body = await call.jsonBody("network.DisconnectOptions");
  await call.backends.networks.disconnectNetwork({
    network: call.name,
    container: body.text("Container"),
    force: body.flag("Force"),
  });
  call.empty(200);
}

const pruneKeys = new Set(["label", "label!", "until"]);

/** POST /networks/prune */
export async function pruneNetworks(call: ApiCall): Promise<void> {
  const filters = filterSet(readFilters(call.query, pruneKeys));
  const { deleted } = await call.backends.networks.pruneNetworks({ filters });
  call.json({ NetworksDeleted: nullIfEmpty(deleted) });
}

/** Docker's EndpointSettings → EndpointSettings. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { EndpointSettingsSchema } from "@gantry/proto/network";
import { opened } from "../encode/version-gates.ts";
import type { Fields } from "./fields.ts";
import { given } from "./init.ts";

/** Message initialiser. */
export type EndpointInit = MessageInitShape<typeof EndpointSettingsSchema>;

/** What a client may ask of an endpoint; an absent object asks for nothing. */
export function decodeEndpoint(fields: Fields | undefined, version: number): EndpointInit {
  if (fields === undefined) return {};
  const ipam = fields.object("IPAMConfig");
  const [links, aliases] = [fields.texts("Links"), fields.texts("Aliases")];
  const driverOpts = fields.textMap("DriverOpts");
  return given({
    ipamConfig:
      ipam === undefined
        ? undefined
        : {
            ipv4Address: ipam.text("IPv4Address"),
            ipv6Address: ipam.text("IPv6Address"),
            linkLocalIps: ipam.texts("LinkLocalIPs") ?? [],
          },
    links: links ?? [],
    aliases: aliases ?? [],
    driverOpts: driverOpts ?? {},
    hasLinks: links !== undefined,
    hasAliases: aliases !== undefined,
    hasDriverOpts: driverOpts !== undefined,
    gwPriority: opened("gwPriority", version) ? fields.small("GwPriority") : 0,
    macAddress: fields.text("MacAddress"),
    networkId: fields.text("NetworkID"),
  });
}

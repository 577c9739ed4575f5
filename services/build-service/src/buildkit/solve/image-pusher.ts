/** Pushing by image-service, with the credentials of the client whose build it is. */
import { parseReference } from "@gantry/oci";
import type { ImageService } from "@gantry/proto/image";
import type { ServiceClient } from "@gantry/rpc";
import { findCredential } from "../session/lent.ts";
import type { ImagePusher } from "./exporters.ts";

/** What clients call Docker Hub. */
const hubHost = "registry-1.docker.io";

/** Makes a pusher. */
export function imagePusher(images: ServiceClient<typeof ImageService>): ImagePusher {
  return {
    async push(name, { session, target, signal }) {
      const { domain, tag = "latest" } = parseReference(name);
      const host = domain === "docker.io" ? hubHost : domain;
      const credential = await findCredential(session, host, signal);
      const reference = name.slice(0, name.length - tag.length - 1);
      const messages = images.pushImage(
        {
          reference,
          tag,
          ...(target && { target: { ...target, sizeBytes: BigInt(target.sizeBytes) } }),
          ...(credential !== undefined && { auth: { ...credential, serverAddress: domain } }),
        },
        { signal },
      );
      // Its progress is about layers that this build may not know; the call fails where the push does.
      for await (const _message of messages) continue;
    },
  };
}

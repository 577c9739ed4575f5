/** Pushing by image-service, with the credentials of the client whose build it is. */
import { canonicalName, parseReference, repositoryOf } from "@gantry/oci";
import type { ImageService } from "@gantry/proto/image";
import type { ServiceClient } from "@gantry/rpc";
import { findCredential } from "../session/lent.ts";
import type { ImagePusher } from "./export-context.ts";

/** What clients call Docker Hub. */
const hubHost = "registry-1.docker.io";

/** Makes a pusher. */
export function imagePusher(images: ServiceClient<typeof ImageService>): ImagePusher {
  return {
    async push(name, { session, target, byDigest = false, insecure = false, signal }) {
      const reference = parseReference(name);
      const { domain } = reference;
      const tag = byDigest ? "" : (reference.tag ?? "latest");
      const host = domain === "docker.io" ? hubHost : domain;
      const credential = await findCredential(session, host, signal);
      const messages = images.pushImage(
        {
          reference: canonicalName(repositoryOf(reference)),
          tag,
          insecure,
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

/** Uploading one blob: in one request, else in pieces from where the registry stands. */
import { internal } from "@gantry/errors";
import type { UploadBody } from "../../ports/registry.ts";
import { dropBody, type HttpResponse } from "./http-client.ts";
import { RegistryError } from "./registry-error.ts";
import { headerText, type RegistrySession } from "./session.ts";

/** Pieces of a chunked upload. */
const pieceBytes = 16 * 1024 * 1024;

/** Uploads begun anew after a failure. */
const maxTries = 3;

export async function uploadBlob(
  session: RegistrySession,
  base: string,
  body: UploadBody,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const location = await begin(session, base, signal);
    try {
      // A registry that cut a whole upload short may take it in pieces.
      if (attempt === 1) await sendWhole(session, location, body, signal);
      else await sendPieces(session, location, body, signal);
      return;
    } catch (error) {
      const final = error instanceof RegistryError && error.status < 500 && error.status !== 413;
      if (attempt >= maxTries || final || signal.aborted) throw error;
    }
  }
}

async function begin(session: RegistrySession, base: string, signal: AbortSignal): Promise<string> {
  const response = await session.send({
    method: "POST",
    target: `${base}/blobs/uploads/`,
    headers: { "content-length": "0" },
    accept: [202],
    signal,
  });
  dropBody(response);
  return locationOf(response);
}

function locationOf(response: HttpResponse): string {
  const location = headerText(response, "location");
  if (location === "" || !URL.canParse(location, response.url)) {
    throw internal("the registry named no place for the upload");
  }
  return new URL(location, response.url).href;
}

function withDigest(location: string, body: UploadBody): string {
  const url = new URL(location);
  url.searchParams.set("digest", body.descriptor.digest);
  return url.href;
}

async function sendWhole(
  session: RegistrySession,
  location: string,
  body: UploadBody,
  signal: AbortSignal,
): Promise<void> {
  const response = await session.send({
    method: "PUT",
    target: withDigest(location, body),
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(body.descriptor.size),
    },
    body: () => body.open(0),
    accept: [201, 204],
    tries: 1,
    signal,
  });
  dropBody(response);
}

async function sendPieces(
  session: RegistrySession,
  begun: string,
  body: UploadBody,
  signal: AbortSignal,
): Promise<void> {
  const { size } = body.descriptor;
  let location = begun;
  for (let offset = 0; offset < size; ) {
    const end = Math.min(size, offset + pieceBytes);
    const from = offset;
    const response = await session.send({
      method: "PATCH",
      target: location,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(end - from),
        "content-range": `${from}-${end - 1}`,
      },
      body: () => upTo(body.open(from), end - from),
      accept: [202],
      tries: 1,
      signal,
    });
    dropBody(response);
    location = locationOf(response);
    offset = end;
  }
  const response = await session.send({
    method: "PUT",
    target: withDigest(location, body),
    headers: { "content-length": "0" },
    accept: [201, 204],
    tries: 1,
    signal,
  });
  dropBody(response);
}

async function* upTo(bytes: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let left = limit;
  for await (const chunk of bytes) {
    yield chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= chunk.length;
    if (left <= 0) return;
  }
}

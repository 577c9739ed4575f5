/** What registries answer, as BuildKit tells it: the image service has the words of a pull. */

/**
 * @param message why an image was not found
 * @param name its full name, as displays show it
 */
export function inBuildkitWords(message: string, name: string): string {
  if (/^manifest for \S+ not found: /.test(message)) return `${name}: not found`;
  const [, host, reason] = /^Get "https?:\/\/([^/"]+)\/v2\/": (.*)$/s.exec(message) ?? [];
  if (host === undefined) return message;
  const [path = "", version = ""] = splitName(name.slice(name.indexOf("/") + 1));
  const url = `https://${host}/v2/${path}/manifests/${version}`;
  return `failed to do request: Head "${url}": ${reason ?? ""}`;
}

/** Path and tag, or digest. */
function splitName(name: string): string[] {
  const at = name.indexOf("@");
  if (at >= 0) return [name.slice(0, at), name.slice(at + 1)];
  return name.split(":");
}

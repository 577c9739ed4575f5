/** Self-signed certificates for tests. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { openTempDir } from "@gantry/fs";

export interface TestCertificate extends AsyncDisposable {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** Valid for a name and for 127.0.0.1, for two days. Its files are removed when disposed. */
export async function makeCertificate(name: string): Promise<TestCertificate> {
  const dir = await openTempDir("gantry-cert-", "/tmp");
  const [certFile, keyFile] = [path.join(dir.path, "cert.pem"), path.join(dir.path, "key.pem")];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},IP:127.0.0.1`];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const files = ["-keyout", keyFile, "-out", certFile];
  execFileSync("openssl", ["req", "-x509", ...key, "-days", "2", ...subject, ...files], {
    stdio: "ignore",
  });
  return {
    certFile,
    keyFile,
    cert: readFileSync(certFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

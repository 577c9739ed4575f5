/** Docker's Config → ContainerConfig. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ContainerConfigSchema, HealthConfigSchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import type { Fields } from "./fields.ts";
import { given, textList } from "./init.ts";

/** Message initialisers. */
export type ConfigInit = MessageInitShape<typeof ContainerConfigSchema>;
type HealthInit = MessageInitShape<typeof HealthConfigSchema>;

/** Decodes the fields of a Config object. */
export function decodeConfig(fields: Fields, version: number): ConfigInit {
  const health = fields.object("Healthcheck");
  return given({
    hostname: fields.text("Hostname"),
    domainname: fields.text("Domainname"),
    user: fields.text("User"),
    attachStdin: fields.flag("AttachStdin"),
    attachStdout: fields.flag("AttachStdout"),
    attachStderr: fields.flag("AttachStderr"),
    exposedPorts: (fields.keys("ExposedPorts") ?? []).sort(),
    tty: fields.flag("Tty"),
    openStdin: fields.flag("OpenStdin"),
    stdinOnce: fields.flag("StdinOnce"),
    env: fields.texts("Env") ?? [],
    cmd: textList(fields.oneOrMoreTexts("Cmd")),
    healthcheck: health === undefined ? undefined : decodeHealth(health, version),
    argsEscaped: fields.flag("ArgsEscaped"),
    image: fields.text("Image"),
    volumes: (fields.keys("Volumes") ?? []).sort(),
    workingDir: fields.text("WorkingDir"),
    entrypoint: textList(fields.oneOrMoreTexts("Entrypoint")),
    networkDisabled: fields.flag("NetworkDisabled"),
    macAddress: opened("noConfigMac", version) ? "" : fields.text("MacAddress"),
    onBuild: fields.texts("OnBuild") ?? [],
    labels: fields.textMap("Labels") ?? {},
    stopSignal: fields.text("StopSignal"),
    stopTimeoutSeconds: fields.optSmall("StopTimeout"),
    shell: textList(fields.oneOrMoreTexts("Shell")),
  });
}

function decodeHealth(fields: Fields, version: number): HealthInit {
  return given({
    test: textList(fields.texts("Test")),
    intervalNs: fields.integer("Interval"),
    timeoutNs: fields.integer("Timeout"),
    startPeriodNs: fields.integer("StartPeriod"),
    startIntervalNs: opened("startInterval", version) ? fields.integer("StartInterval") : 0n,
    retries: fields.small("Retries"),
  });
}

/** daemon.json: Docker's keys, read into DaemonSettings. Every problem is reported, not only the first. */
import net from "node:net";
import { readBuildCache } from "./build-cache-settings.ts";
import { JsonReader, type Problem } from "./json-reader.ts";
import type {
  AddressPool,
  ContainerDefaults,
  DaemonSettings,
  NetworkSettings,
  ProxySettings,
  RegistrySettings,
  TlsSettings,
  Ulimit,
} from "./settings.ts";
import {
  isCidr,
  isListenAddress,
  isMirrorUrl,
  isRegistryHost,
  parseSizeBytes,
} from "./value-syntax.ts";

/** Keys that Docker knows and that change nothing in this engine. */
const withoutEffect = [
  "$schema",
  "allow-nondistributable-artifacts",
  "containerd",
  "containerd-namespace",
  "containerd-plugins-namespace",
  "experimental",
  "features",
  "iptables",
  "ip6tables",
  "live-restore",
  "log-format",
  "max-download-attempts",
  "metrics-addr",
  "no-pivot-root",
  "pidfile",
  "raw-logs",
  "runtimes",
  "selinux-enabled",
  "storage-driver",
  "storage-opts",
  "swarm-default-advertise-addr",
  "userland-proxy",
  "userland-proxy-path",
];

/** The pools that Docker takes subnets from when daemon.json names none. */
const dockerPools: readonly AddressPool[] = [
  { base: "172.17.0.0/16", size: 16 },
  { base: "172.18.0.0/16", size: 16 },
  { base: "172.19.0.0/16", size: 16 },
  { base: "172.20.0.0/14", size: 16 },
  { base: "172.24.0.0/14", size: 16 },
  { base: "172.28.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

/** Reads the object of daemon.json; `problems` gets a line for each mistake. */
export function readDaemonSettings(
  object: Readonly<Record<string, unknown>>,
  problems: Problem[],
): DaemonSettings {
  const reader = new JsonReader(object, problems);
  const settings: DaemonSettings = {
    debug: reader.flag("debug") ?? false,
    logLevel: reader.oneOf("log-level", ["trace", "debug", "info", "warn", "error", "fatal"]),
    labels: checked(reader, "labels", (text) => text.includes("="), "key=value") ?? [],
    hosts: checked(reader, "hosts", isListenAddress, "unix:///path or tcp://address:port") ?? [],
    group: reader.text("group") ?? "docker",
    tls: readTls(reader),
    dataRoot: reader.text("data-root"),
    execRoot: reader.text("exec-root"),
    cgroupParent: reader.text("cgroup-parent"),
    execOptions: reader.texts("exec-opts") ?? [],
    shutdownTimeoutMs: (reader.integer("shutdown-timeout", 0, 86_400) ?? 15) * 1000,
    proxies: readProxies(reader),
    registry: readRegistry(reader),
    network: readNetwork(reader),
    containers: readContainers(reader),
    buildCache: readBuildCache(reader),
  };
  reader.ignore(...withoutEffect);
  reader.finish();
  return settings;
}

/** A list of strings that must all have a form. */
function checked(
  reader: JsonReader,
  key: string,
  test: (text: string) => boolean,
  form: string,
): readonly string[] | undefined {
  const list = reader.texts(key);
  for (const each of list ?? []) {
    if (!test(each)) reader.problem(key, `${JSON.stringify(each)} is not ${form}`);
  }
  return list;
}

/** A string that must have a form. */
function checkedText(
  reader: JsonReader,
  key: string,
  test: (text: string) => boolean,
  form: string,
): string | undefined {
  const value = reader.text(key);
  if (value === undefined || value === "") return undefined;
  if (!test(value)) return reader.problem(key, `${JSON.stringify(value)} is not ${form}`);
  return value;
}

function readTls(reader: JsonReader): TlsSettings | undefined {
  const verifyClients = reader.flag("tlsverify") ?? false;
  const enabled = reader.flag("tls") ?? verifyClients;
  const settings = {
    caCertFile: reader.text("tlscacert"),
    certFile: reader.text("tlscert"),
    keyFile: reader.text("tlskey"),
    verifyClients,
  };
  return enabled ? settings : undefined;
}

function readProxies(reader: JsonReader): ProxySettings {
  const given = reader.textMap("proxies") ?? {};
  const known = new Set(["http-proxy", "https-proxy", "no-proxy"]);
  for (const key of Object.keys(given)) {
    if (!known.has(key)) reader.problem(`proxies.${key}`, "is not known");
  }
  return {
    http: given["http-proxy"] ?? "",
    https: given["https-proxy"] ?? "",
    none: given["no-proxy"] ?? "",
  };
}

function readRegistry(reader: JsonReader): RegistrySettings {
  const insecureForm = "host, host:port or CIDR";
  return {
    mirrors: checked(reader, "registry-mirrors", isMirrorUrl, "an http or https URL") ?? [],
    insecure: checked(reader, "insecure-registries", isRegistryHost, insecureForm) ?? [],
    maxConcurrentDownloads: reader.integer("max-concurrent-downloads", 1, 1000) ?? 3,
    maxConcurrentUploads: reader.integer("max-concurrent-uploads", 1, 1000) ?? 5,
  };
}

const isAddress = (text: string): boolean => net.isIP(text) !== 0;

function readNetwork(reader: JsonReader): NetworkSettings {
  return {
    ...readBridge(reader),
    ipForward: reader.flag("ip-forward") ?? true,
    ipv6: reader.flag("ipv6") ?? false,
    defaultHostAddress: checkedText(reader, "ip", isAddress, "an IP address") ?? "0.0.0.0",
    defaultAddressPools: reader.objects("default-address-pools", readPool) ?? dockerPools,
    dns: checked(reader, "dns", isAddress, "an IP address") ?? [],
    dnsSearch: reader.texts("dns-search") ?? [],
    dnsOptions: reader.texts("dns-opts") ?? [],
    hostGatewayAddresses: readHostGateways(reader),
  };
}

/** The single address is the older key. */
function readHostGateways(reader: JsonReader): readonly string[] {
  const single = checkedText(reader, "host-gateway-ip", isAddress, "an IP address");
  const list = checked(reader, "host-gateway-ips", isAddress, "an IP address");
  return list ?? (single === undefined ? [] : [single]);
}

function readBridge(
  reader: JsonReader,
): Pick<
  NetworkSettings,
  "bridgeAddress" | "fixedCidr" | "mtu" | "interContainer" | "ipMasquerade"
> {
  return {
    bridgeAddress: checkedText(reader, "bip", isCidr, "an address with prefix length"),
    fixedCidr: checkedText(reader, "fixed-cidr", isCidr, "a CIDR"),
    // Docker's 0 means "the default".
    mtu: reader.integer("mtu", 0, 65_535) || undefined,
    interContainer: reader.flag("icc") ?? true,
    ipMasquerade: reader.flag("ip-masq") ?? true,
  };
}

function readPool(item: JsonReader): AddressPool | undefined {
  const base = item.text("base");
  const size = item.integer("size", 1, 128);
  if (base === undefined || size === undefined) return item.problem("base", "and size are needed");
  if (!isCidr(base)) return item.problem("base", `${JSON.stringify(base)} is not a CIDR`);
  if (Number(base.split("/")[1]) > size) {
    return item.problem("size", "must not be smaller than the prefix length of base");
  }
  return { base, size };
}

function readContainers(reader: JsonReader): ContainerDefaults {
  return {
    logDriver: reader.text("log-driver") ?? "json-file",
    logOptions: reader.textMap("log-opts") ?? {},
    ulimits: readUlimits(reader),
    shmSizeBytes: readShmSize(reader),
    init: reader.flag("init") ?? false,
    noNewPrivileges: reader.flag("no-new-privileges") ?? false,
    seccompProfile: reader.text("seccomp-profile") || "builtin",
    cgroupNamespaceMode: reader.oneOf("default-cgroupns-mode", ["host", "private"]),
    ipcMode: reader.oneOf("default-ipc-mode", ["private", "shareable"]) ?? "private",
    runtime: reader.text("default-runtime") ?? "runc",
  };
}

function readShmSize(reader: JsonReader): number {
  const text = reader.text("default-shm-size");
  const fallback = 64 * 1024 * 1024;
  if (text === undefined) return fallback;
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes === undefined) reader.problem("default-shm-size", "must be a size such as 64M");
  return sizeBytes ?? fallback;
}

function readUlimits(reader: JsonReader): readonly Ulimit[] {
  const limits = reader.objectMap("default-ulimits", (item) => {
    const name = item.text("Name");
    const hard = item.integer("Hard", -1);
    const soft = item.integer("Soft", -1) ?? hard;
    if (soft === undefined) return item.problem("Soft", "or Hard is needed");
    return { name, soft, hard: hard ?? soft };
  });
  return Object.entries(limits).map(([key, { name, soft, hard }]) => ({
    name: name ?? key,
    soft,
    hard,
  }));
}

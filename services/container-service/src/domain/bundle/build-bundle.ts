/** Docker's configuration as an OCI runtime-spec bundle. Pure. */
import type { RuntimeDevice, RuntimeNamespace, RuntimeSpec } from "@gantry/oci";
import { exactJson } from "../exact-json.ts";
import type { SecurityOptions } from "../security-options.ts";
import { parseSecurityOptions } from "../security-options.ts";
import { buildMounts } from "./build-mounts.ts";
import { buildProcess, capabilitiesFor } from "./build-process.ts";
import { buildResources } from "./build-resources.ts";
import type { BundleInput, NamespaceSource } from "./bundle-input.ts";
import { seccompOf } from "./seccomp-profile.ts";

/**
 * The spec without its seccomp profile, which is large and the same for most containers.
 * @see seccompJson
 */
export type BareSpec = RuntimeSpec;

/** Linux's __NEW_UTS_LEN. */
const longestKernelName = 64;

/** The config.json of a container, but for `linux.seccomp`. */
function buildBundle(input: BundleInput): BareSpec {
  const { record, defaults } = input;
  const { hostConfig, config } = record;
  const security = parseSecurityOptions(hostConfig.securityOpt?.values ?? []);
  const ownUts = hostConfig.utsMode !== "host";
  return {
    ociVersion: defaults.ociVersion,
    process: buildProcess(input, security),
    root: { path: record.rootfs.mountpoint, readonly: hostConfig.readonlyRootfs },
    ...(ownUts && input.hostname !== "" ? { hostname: input.hostname } : {}),
    ...(ownUts && config.domainname !== "" ? { domainname: domainOf(config.domainname) } : {}),
    mounts: buildMounts(input),
    annotations: { ...hostConfig.annotations },
    linux: buildLinux(input, security),
  };
}

/** As much of it as the kernel can keep: the hosts file has it whole. */
function domainOf(name: string): string {
  const bytes = Buffer.from(name);
  if (bytes.length <= longestKernelName) return name;
  // A character that is cut in two is left out.
  return bytes.toString("utf8", 0, longestKernelName).replace(/\ufffd$/, "");
}

function buildLinux(
  input: BundleInput,
  security: SecurityOptions,
): NonNullable<RuntimeSpec["linux"]> {
  const { hostConfig, id } = input.record;
  const unmasked = hostConfig.privileged || security.systemPathsUnconfined;
  const parent = hostConfig.resources?.cgroupParent || input.defaults.cgroupParent;
  const propagation = input.rootfsPropagation;
  return {
    namespaces: buildNamespaces(input),
    devices: input.devices.map((each): RuntimeDevice => each.device),
    cgroupsPath: `${parent.startsWith("/") ? "" : "/"}${parent}/${id}`,
    resources: buildResources(input),
    ...(propagation === "" ? {} : { rootfsPropagation: propagation as "rshared" | "rslave" }),
    sysctl: buildSysctls(input),
    maskedPaths: unmasked ? [] : [...(hostConfig.maskedPaths?.values ?? [])],
    readonlyPaths: unmasked ? [] : [...(hostConfig.readonlyPaths?.values ?? [])],
  };
}

function buildNamespaces(input: BundleInput): RuntimeNamespace[] {
  const { hostConfig } = input.record;
  return [
    { type: "mount" },
    ...namespace("network", "net", input.network),
    ...namespace("uts", "uts", hostConfig.utsMode === "host" ? "host" : "new"),
    ...namespace("pid", "pid", input.pid),
    ...namespace("ipc", "ipc", input.ipc),
    ...namespace("cgroup", "cgroup", hostConfig.cgroupnsMode === "private" ? "new" : "host"),
  ];
}

function namespace(
  type: RuntimeNamespace["type"],
  file: string,
  source: NamespaceSource,
): RuntimeNamespace[] {
  if (source === "host") return [];
  return source === "new" ? [{ type }] : [{ type, path: `/proc/${String(source.pid)}/ns/${file}` }];
}

/** Unprivileged ports and ICMP sockets are free in a network namespace that nobody else uses. */
const ownNetworkSysctls = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};

function buildSysctls(input: BundleInput): Record<string, string> {
  const own = input.network === "new" ? ownNetworkSysctls : {};
  return { ...own, ...input.record.hostConfig.sysctls };
}

/** JSON of `linux.seccomp`, or undefined for a container without a filter. */
function seccompJson(input: BundleInput): string | undefined {
  const { record, defaults } = input;
  const { privileged, securityOpt } = record.hostConfig;
  const asked = parseSecurityOptions(securityOpt?.values ?? []).seccomp ?? "";
  if (asked === "unconfined" || (privileged && asked === "")) return undefined;
  if (privileged) return ownProfileJson(input, asked);
  const profile = asked || defaults.seccomp;
  if (profile === "unconfined") return undefined;
  return profile === "builtin" ? defaultProfileJson(input) : ownProfileJson(input, profile);
}

/** A profile of the user's, or of daemon.json. */
function ownProfileJson(input: BundleInput, text: string): string | undefined {
  const { machine, kernelVersion: kernel } = input.host;
  const profile = seccompOf(text, { capabilities: capabilitiesFor(input), machine, kernel });
  return profile === undefined ? undefined : exactJson(profile);
}

/** The default profile's text by capabilities: making it again costs more than the rest of the bundle. */
const defaultProfiles = new Map<string, string>();
const mostProfiles = 64;

function defaultProfileJson(input: BundleInput): string {
  const capabilities = capabilitiesFor(input);
  const key = capabilities.join();
  const known = defaultProfiles.get(key);
  if (known !== undefined) return known;
  const json = JSON.stringify(input.defaults.seccompProfile(capabilities));
  if (defaultProfiles.size >= mostProfiles) defaultProfiles.clear();
  defaultProfiles.set(key, json);
  return json;
}

/** The whole config.json. 64-bit integers are written in full. */
export function bundleJson(input: BundleInput): string {
  const spec = buildBundle(input);
  const seccomp = seccompJson(input);
  const json = exactJson(spec);
  // `linux` is the last member, so its end is the end of the document.
  return seccomp === undefined ? json : `${json.slice(0, -2)},"seccomp":${seccomp}}}`;
}

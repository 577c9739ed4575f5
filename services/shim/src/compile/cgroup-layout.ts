/**
 * Which cgroup hierarchies the machine has and where, from /proc/self/mountinfo. Three shapes
 * occur: v2 alone, v1 alone, and both (hybrid), where a controller is in the one or the other.
 */

/** One mounted hierarchy. */
export interface Hierarchy {
  /** Where it is mounted on the host. */
  readonly mountPoint: string;
  /** Last part of the mount point, which containers see it under (`cpu,cpuacct`). */
  readonly folder: string;
  /** v1: its controllers, or `name=systemd`; v2: empty here, see CgroupLayout.v2Controllers. */
  readonly controllers: readonly string[];
  /** Options that mount(2) needs for it. */
  readonly options: string;
}

/** The machine's hierarchies. */
export interface CgroupLayout {
  readonly v1: readonly Hierarchy[];
  readonly v2: Hierarchy | undefined;
  /** Controllers that can be used in v2 (cgroup.controllers of its root). */
  readonly v2Controllers: readonly string[];
}

const v1Controllers = new Set([
  "blkio",
  "cpu",
  "cpuacct",
  "cpuset",
  "devices",
  "freezer",
  "hugetlb",
  "memory",
  "misc",
  "net_cls",
  "net_prio",
  "perf_event",
  "pids",
  "rdma",
]);

/**
 * Reads the hierarchies from the text of /proc/self/mountinfo.
 * @param v2Controllers text of cgroup.controllers at the v2 root, empty when there is none.
 */
export function parseCgroupLayout(mountinfo: string, v2Controllers: string): CgroupLayout {
  const v1: Hierarchy[] = [];
  let v2: Hierarchy | undefined;
  for (const line of mountinfo.split("\n")) {
    const mount = parseMount(line);
    if (mount === undefined) continue;
    if (mount.type === "cgroup2") v2 ??= hierarchy(mount.mountPoint, []);
    if (mount.type === "cgroup" && !v1.some((each) => each.mountPoint === mount.mountPoint)) {
      v1.push(hierarchy(mount.mountPoint, controllersOf(mount.superOptions)));
    }
  }
  return { v1, v2, v2Controllers: v2Controllers.split(/\s+/).filter((word) => word !== "") };
}

function parseMount(
  line: string,
): { mountPoint: string; type: string; superOptions: string } | undefined {
  const [left, right] = line.split(" - ", 2);
  const mountPoint = left?.split(" ")[4];
  const [type, , superOptions] = right?.split(" ") ?? [];
  if (mountPoint === undefined || type === undefined) return undefined;
  return { mountPoint: unescape(mountPoint), type, superOptions: superOptions ?? "" };
}

/** mountinfo writes blanks and backslashes as octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function controllersOf(superOptions: string): string[] {
  return superOptions
    .split(",")
    .filter((word) => v1Controllers.has(word) || word.startsWith("name="));
}

function hierarchy(mountPoint: string, controllers: readonly string[]): Hierarchy {
  const named = controllers.some((word) => word.startsWith("name="));
  return {
    mountPoint,
    folder: mountPoint.slice(mountPoint.lastIndexOf("/") + 1),
    controllers,
    options: [...(named ? ["none"] : []), ...controllers].join(","),
  };
}

/** Directory of a cgroup in a hierarchy. */
export function hierarchyPath(hierarchy: Hierarchy, cgroupPath: string): string {
  return `${hierarchy.mountPoint}${cgroupPath}`;
}

/** The v1 hierarchy that has a controller. */
export function v1With(layout: CgroupLayout, controller: string): Hierarchy | undefined {
  return layout.v1.find((each) => each.controllers.includes(controller));
}

/** Where a controller is to be found on this machine. */
export function controllerVersion(layout: CgroupLayout, controller: string): 1 | 2 | undefined {
  if (v1With(layout, controller) !== undefined) return 1;
  return layout.v2 !== undefined && layout.v2Controllers.includes(controller) ? 2 : undefined;
}

/**
 * The cgroup of a container below each root: linux.cgroupsPath, else `/<parent>/<id>`. Of the
 * systemd form `slice:prefix:name` it is the folder that systemd would make.
 */
export function cgroupPathOf(cgroupsPath: string | undefined, parent: string, id: string): string {
  if (cgroupsPath === undefined || cgroupsPath === "") return `/${parent}/${id}`;
  const [slice, prefix, name] = cgroupsPath.split(":");
  if (name !== undefined) return `${sliceFolders(slice ?? "")}/${prefix ?? ""}-${name}.scope`;
  const parts = cgroupsPath
    .split("/")
    .filter((part) => part !== "" && part !== "." && part !== "..");
  return parts.length === 0 ? `/${parent}/${id}` : `/${parts.join("/")}`;
}

/** `a-b.slice` lies in `a.slice`. */
function sliceFolders(slice: string): string {
  const words = slice
    .replace(/\.slice$/, "")
    .split("-")
    .filter((word) => word !== "");
  return words.map((_, index) => `/${words.slice(0, index + 1).join("-")}.slice`).join("");
}

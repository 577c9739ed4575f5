/** Mounts a volume with driver options, in the words of Docker's local driver. */
import { lookup } from "node:dns/promises";
import { errnoText, internal } from "@gantry/errors";
import type { KernelError, MountKernel } from "@gantry/native";
import type { VolumeMount } from "../../domain/volume/volume-rules.ts";

// MS_* of linux/mount.h.
const remountFlag = 32n;
const bindFlag = 4096n;
const recursiveFlag = 16_384n;
const bindFlags = bindFlag | recursiveFlag;
/** MNT_DETACH. */
const detach = 2;

/** Errors: internal with Docker's text. */
export async function mountVolume(
  kernel: MountKernel,
  target: string,
  mount: VolumeMount,
): Promise<void> {
  const { source, type, flags } = mount;
  const data = await withAddress(mount);
  try {
    await kernel.mount({
      source,
      target,
      flags,
      ...(type === "" ? {} : { type }),
      ...(data === "" ? {} : { data }),
    });
    // The kernel takes no other flags of a bind at once.
    if ((flags & bindFlag) !== 0n && (flags & ~bindFlags) !== 0n)
      await remount(kernel, target, flags & ~recursiveFlag);
  } catch (error) {
    const shownFlags = flags === 0n ? "" : `, flags: 0x${flags.toString(16)}`;
    const shownData = data === "" ? "" : `, data: ${data}`;
    const reason = errnoText((error as KernelError).errno);
    throw internal(
      `failed to mount local volume: mount ${source}:${target}${shownFlags}${shownData}: ${reason}`,
      { cause: error },
    );
  }
}

async function remount(kernel: MountKernel, target: string, flags: bigint): Promise<void> {
  try {
    await kernel.mount({ source: "none", target, flags: flags | remountFlag });
  } catch (error) {
    await kernel.unmount(target, detach);
    throw error;
  }
}

/** The kernel knows no names: the address of a network file system's `addr=` is looked up for it. */
async function withAddress({ type, data }: VolumeMount): Promise<string> {
  const name = /(?:^|,)addr=([^,]*)/.exec(data)?.[1] ?? "";
  if (!["nfs", "nfs4", "cifs"].includes(type) || name === "" || /^[\d.]+$|:/.test(name))
    return data;
  try {
    const { address } = await lookup(name);
    return data.replace(`addr=${name}`, `addr=${address}`);
  } catch (error) {
    throw internal(
      `error resolving passed in network volume address: lookup ${name}: no such host`,
      { cause: error },
    );
  }
}

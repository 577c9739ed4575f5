/** Takes away a mount that may be none. */
import { hasErrno } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";

/** MNT_DETACH of umount2(2). */
const detach = 2;

/** No error where nothing is mounted, or nothing is: a killed predecessor may have left it, or not. */
export async function unmountIfMounted(
  kernel: Pick<MountKernel, "unmount">,
  target: string,
): Promise<void> {
  try {
    await kernel.unmount(target, detach);
  } catch (error) {
    if (!hasErrno(error, "EINVAL") && !hasErrno(error, "ENOENT")) throw error;
  }
}

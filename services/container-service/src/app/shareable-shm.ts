/** /dev/shm of containers whose IPC namespace others may join: a tmpfs on the host. */
import type { ContainerRecord } from "../domain/container-record.ts";
import type { App } from "./context.ts";
import { referencedContainer } from "./namespace-references.ts";

/** Host path to bind at /dev/shm: the container's own, that of the one it joins, or empty. */
export async function takeShm(app: App, record: ContainerRecord): Promise<string> {
  const { ipcMode, shmSizeBytes } = record.hostConfig;
  const donor = referencedContainer(ipcMode);
  if (donor !== undefined) {
    const mode = app.registry.byId(donor)?.record.hostConfig.ipcMode;
    return mode === "host" ? "/dev/shm" : app.folders.paths(donor).shm;
  }
  if (ipcMode !== "shareable") return "";
  await app.folders.mountShm(record.id, shmSizeBytes);
  return app.folders.paths(record.id).shm;
}

/** The run has ended. Containers that joined keep it until they end, too. */
export async function releaseShm(app: App, record: ContainerRecord): Promise<void> {
  if (record.hostConfig.ipcMode === "shareable") await app.folders.unmountShm(record.id);
}

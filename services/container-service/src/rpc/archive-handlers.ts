/** The methods of ContainerService that move files: translation only. */
import type { ContainerService } from "@gantry/proto/container";
import type { Handlers } from "@gantry/rpc";
import type { App } from "../app/context.ts";
import { exportContainer, getArchive } from "../app/get-archive.ts";
import { putArchive } from "../app/put-archive.ts";
import { statPath } from "../app/stat-path.ts";

export function archiveMethods(app: App): Handlers<typeof ContainerService> {
  return {
    async *exportContainer({ container }, { signal }) {
      const { endpoint, done } = await exportContainer(app, container, signal);
      yield { data: endpoint };
      await done;
    },
    async statPath({ container, path }, { signal }) {
      return { stat: await statPath(app, container, path, signal) };
    },
    async *getArchive({ container, path }, { signal }) {
      const { stat, endpoint, done } = await getArchive(app, container, path, signal);
      yield { stat, data: endpoint };
      await done;
    },
    async *putArchive({ container, path, noOverwriteDirNonDir, copyUidGid }, { signal }) {
      const options = { path, noOverwriteDirNonDir, copyUidGid };
      const { endpoint, done } = await putArchive(app, container, options, signal);
      yield { data: endpoint };
      await done;
    },
  };
}

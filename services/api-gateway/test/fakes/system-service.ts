/** A machine that is always the same. */
/** A container-service in memory: containers whose process is a function over the attached socket. */
import { SystemService } from "@gantry/proto/system";
import { type Implementation, implement } from "@gantry/rpc";

export function fakeSystem(containers: ReadonlyMap<string, unknown>): Implementation {
  return implement(SystemService, {
    getInfo: () =>
      Promise.resolve({
        engineId: "engine",
        containers: containers.size,
        cgroupVersion: "2",
        cgroupDriver: "cgroupfs",
        ncpu: 2,
        memTotalBytes: 1024n,
        hostname: "host",
        operatingSystem: "Debian",
        architecture: "x86_64",
        networkDrivers: ["null", "bridge", "host"],
      }),
  });
}

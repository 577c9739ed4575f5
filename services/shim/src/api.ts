/**
 * The face of the shim's brain. Both forms have it: loaded (`createShim`) and served over
 * gRPC (`main.ts`, reached with `channel.client(ShimService)` of @gantry/rpc). Contracts and
 * errors of each method stand in proto/gantry/shim/v1/shim_service.proto.
 */
import type { ShimService } from "@gantry/proto/shim";
import type { ServiceClient } from "@gantry/rpc";

/**
 * The brain: all of ShimService, with the types of its gRPC client. `watch` gives the events of
 * every container of this brain from the call on, until its signal aborts or the brain is closed;
 * a slow reader loses nothing. Each launch gives exactly one `exited`, also when its shim process
 * was killed (then with code 137).
 */
export interface ShimApi extends ServiceClient<typeof ShimService> {
  /**
   * Lets go of every shim process without touching any container; they run on and can be
   * adopted again. Ends all watches, and removes the engine's cgroup when nothing runs in it.
   */
  close(): Promise<void>;
}

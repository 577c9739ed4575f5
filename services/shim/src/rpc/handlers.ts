/** ShimService over gRPC: each call is handed to the brain as it is. */
import type { ShimService } from "@gantry/proto/shim";
import type { Handlers } from "@gantry/rpc";
import type { ShimApi } from "../api.ts";

export function shimHandlers(shim: ShimApi): Handlers<typeof ShimService> {
  return {
    expect: (request, { signal }) => shim.expect(request, { signal }),
    prepare: (request, { signal }) => shim.prepare(request, { signal }),
    launch: (request, { signal }) => shim.launch(request, { signal }),
    adopt: (request, { signal }) => shim.adopt(request, { signal }),
    signalProcess: (request, { signal }) => shim.signalProcess(request, { signal }),
    kill: (request, { signal }) => shim.kill(request, { signal }),
    resizeProcess: (request, { signal }) => shim.resizeProcess(request, { signal }),
    issueTicket: (request, { signal }) => shim.issueTicket(request, { signal }),
    execProcess: (request, { signal }) => shim.execProcess(request, { signal }),
    updateNames: (request, { signal }) => shim.updateNames(request, { signal }),
    pause: (request, { signal }) => shim.pause(request, { signal }),
    resume: (request, { signal }) => shim.resume(request, { signal }),
    update: (request, { signal }) => shim.update(request, { signal }),
    getStats: (request, { signal }) => shim.getStats(request, { signal }),
    listPids: (request, { signal }) => shim.listPids(request, { signal }),
    delete: (request, { signal }) => shim.delete(request, { signal }),
    watch: (request, { signal }) => shim.watch(request, { signal }),
  };
}

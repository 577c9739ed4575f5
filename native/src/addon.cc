// The addon's only job here is to register its units; each is one area of the kernel.
#include <napi.h>

#include "addon/body.h"
#include "addon/mount.h"
#include "addon/network.h"
#include "addon/nftables.h"
#include "addon/path.h"
#include "addon/process.h"
#include "addon/seccomp.h"
#include "addon/socket.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  gantry::addon::export_body(env, exports);
  gantry::addon::export_mount(env, exports);
  gantry::addon::export_network(env, exports);
  gantry::addon::export_nftables(env, exports);
  gantry::addon::export_path(env, exports);
  gantry::addon::export_process(env, exports);
  gantry::addon::export_seccomp(env, exports);
  gantry::addon::export_socket(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(gantry, init)

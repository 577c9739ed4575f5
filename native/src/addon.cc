// The addon's only job here is to register its units; each is one area of the kernel.
#include <napi.h>

#include "addon/process.h"
#include "addon/socket.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  gantry::addon::export_process(env, exports);
  gantry::addon::export_socket(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(gantry, init)

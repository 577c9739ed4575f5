// Links, addresses and routes of the host. Names and contracts as in lib/kernel.ts.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_network(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

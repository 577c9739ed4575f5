// Host-side mounts. Names and contracts as in lib/kernel.ts.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_mount(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

// Processes: start, signal, watch. Names and contracts as in lib/kernel.ts.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_process(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

// Compiling seccomp profiles. Names and contracts as in lib/kernel.ts.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_seccomp(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

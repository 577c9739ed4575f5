// Files: paths resolved inside a root, extended attributes, device nodes. Names and contracts as in lib/kernel.ts.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_path(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

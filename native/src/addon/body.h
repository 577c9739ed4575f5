// Bodies of HTTP requests, from a client's socket to a service's, past JavaScript.
#pragma once

#include <napi.h>

namespace gantry::addon {

void export_body(Napi::Env env, Napi::Object exports);

}  // namespace gantry::addon

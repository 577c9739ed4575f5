// Values across the border to JavaScript. JavaScript validates (lib/), so these only convert.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/syscall_error.h"

namespace gantry::addon {

// A JavaScript Error with {code, errno, syscall, path, step}; undefined members are left out.
Napi::Error to_js_error(Napi::Env env, const SyscallError& error);

std::string get_string(const Napi::Object& object, const char* name);
std::string get_string_or(const Napi::Object& object, const char* name, const std::string& fallback);
int32_t get_int(const Napi::Object& object, const char* name);
int32_t get_int_or(const Napi::Object& object, const char* name, int32_t fallback);
bool get_bool_or(const Napi::Object& object, const char* name, bool fallback);
std::vector<std::string> to_strings(const Napi::Value& array);

// The bytes of a Uint8Array or Buffer, valid while the value lives.
struct Bytes {
  const uint8_t* data;
  size_t size;
};
Bytes to_bytes(const Napi::Value& value);

// Runs `body` and turns a SyscallError into a JavaScript exception.
template <typename Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const SyscallError& error) {
    throw to_js_error(env, error);
  }
}

}  // namespace gantry::addon

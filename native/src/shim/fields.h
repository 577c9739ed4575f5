// Turning wire fields into members of plain structures: one `take` per kind of member, and `each_field` over a message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shim/wire.h"

namespace gantry::shim {

// Calls `take_field(field)` for each field; false as soon as it answers false or the bytes are malformed.
template <typename TakeField>
bool each_field(std::string_view bytes, TakeField take_field) {
  wire::Reader reader(bytes);
  wire::Field field;
  while (reader.next(field)) {
    if (!take_field(field)) return false;
  }
  return reader.ok();
}

// Numbers.
inline bool take(const wire::Field& field, uint64_t& out) {
  out = field.value;
  return field.type == 0;
}
inline bool take(const wire::Field& field, uint32_t& out) {
  out = static_cast<uint32_t>(field.value);
  return field.type == 0 && field.value <= UINT32_MAX;
}
inline bool take(const wire::Field& field, int32_t& out) {
  out = static_cast<int32_t>(field.value);
  return field.type == 0 && static_cast<uint64_t>(static_cast<int64_t>(out)) == field.value;
}
inline bool take(const wire::Field& field, bool& out) {
  out = field.value != 0;
  return field.type == 0;
}

// Texts. They become C strings, so a NUL inside would silently cut them.
inline bool take(const wire::Field& field, std::string& out) {
  if (field.type != 2 || field.bytes.find('\0') != std::string_view::npos) return false;
  out.assign(field.bytes);
  return true;
}

// Bytes of any value.
inline bool take_bytes(const wire::Field& field, std::string& out) {
  if (field.type != 2) return false;
  out.assign(field.bytes);
  return true;
}

// An entry of a map<string, string>.
inline bool take(const wire::Field& field, std::vector<std::pair<std::string, std::string>>& out) {
  if (field.type != 2) return false;
  auto& entry = out.emplace_back();
  return each_field(field.bytes, [&](const wire::Field& part) {
    if (part.number == 1) return take(part, entry.first);
    return part.number == 2 && take(part, entry.second);
  });
}

// A repeated text.
inline bool take(const wire::Field& field, std::vector<std::string>& out) { return take(field, out.emplace_back()); }

// A message, and a repeated message.
template <typename Message>
bool take_message(const wire::Field& field, Message& out) {
  return field.type == 2 && decode(field.bytes, out);
}
template <typename Message>
bool take_message(const wire::Field& field, std::vector<Message>& out) {
  return field.type == 2 && decode(field.bytes, out.emplace_back());
}

}  // namespace gantry::shim

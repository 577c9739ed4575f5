// JSON as Go's encoder writes it for Docker's logs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::shim {

// Appends `text` as a JSON string with its quotes: `<`, `>`, `&`, U+2028, U+2029 and control characters are escaped
// (`\n` and `\r` by name, the others as \u00XX), each byte that is no valid UTF-8 becomes \ufffd.
void append_json_string(std::string& out, std::string_view text);

// Appends nanoseconds since the epoch as RFC 3339 in UTC, the fraction without trailing zeros (Go's RFC3339Nano).
void append_rfc3339(std::string& out, int64_t nanoseconds);

}  // namespace gantry::shim

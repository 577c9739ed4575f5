#include "shim/json_text.h"

#include <time.h>

#include <array>
#include <cstdint>
#include <cstdio>

#include "shim/utf8.h"

namespace gantry::shim {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// What happens to a byte: copied, escaped, or the start of a sequence of more than one byte.
enum class Kind : uint8_t { kPlain, kEscape, kMulti };

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> kinds = {};
  for (int i = 0; i < 256; ++i) {
    const bool escape = i < 0x20 || i == '"' || i == '\\' || i == '<' || i == '>' || i == '&';
    kinds[static_cast<size_t>(i)] = i >= 0x80 ? Kind::kMulti : (escape ? Kind::kEscape : Kind::kPlain);
  }
  return kinds;
}

constexpr std::array<Kind, 256> kKinds = make_kinds();

void append_escape(std::string& out, unsigned char byte) {
  switch (byte) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    default:
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const Kind kind = kKinds[byte];
    if (kind == Kind::kPlain) {
      ++at;
      continue;
    }
    size_t length = 1;
    bool valid = true;
    if (kind == Kind::kMulti) {
      length = utf8_sequence(text.substr(at), valid);
      // U+2028 and U+2029 end a line in JavaScript.
      const bool separator = length == 3 && text.compare(at, 2, "\xe2\x80") == 0 && (static_cast<unsigned char>(text[at + 2]) & 0xfe) == 0xa8;
      if (valid && !separator) {
        at += length;
        continue;
      }
    }
    out.append(text, start, at - start);
    if (kind == Kind::kEscape) {
      append_escape(out, byte);
    } else if (!valid) {
      out += "\\ufffd";
    } else {
      out += "\\u202";
      out += kHex[static_cast<unsigned char>(text[at + 2]) & 15];
    }
    at += length;
    start = at;
  }
  out.append(text, start, text.size() - start);
  out += '"';
}

void append_rfc3339(std::string& out, int64_t nanoseconds) {
  const time_t seconds = nanoseconds / 1000000000;
  tm parts = {};
  gmtime_r(&seconds, &parts);
  char text[64];
  int length = std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%09d", parts.tm_year + 1900,
                             parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                             static_cast<int>(nanoseconds % 1000000000));
  while (text[length - 1] == '0') --length;
  if (text[length - 1] == '.') --length;
  out.append(text, static_cast<size_t>(length));
  out += 'Z';
}

}  // namespace gantry::shim

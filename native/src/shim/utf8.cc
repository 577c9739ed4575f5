#include "shim/utf8.h"

namespace gantry::shim {
namespace {

struct Lead {
  size_t length;
  // Bounds of the second byte: they keep out overlong forms, surrogates and what is beyond U+10FFFF.
  unsigned char low;
  unsigned char high;
};

Lead lead_of(unsigned char first) {
  if (first >= 0xc2 && first <= 0xdf) return {2, 0x80, 0xbf};
  if (first == 0xe0) return {3, 0xa0, 0xbf};
  if (first == 0xed) return {3, 0x80, 0x9f};
  if (first >= 0xe1 && first <= 0xef) return {3, 0x80, 0xbf};
  if (first == 0xf0) return {4, 0x90, 0xbf};
  if (first >= 0xf1 && first <= 0xf3) return {4, 0x80, 0xbf};
  if (first == 0xf4) return {4, 0x80, 0x8f};
  return {1, 0, 0};
}

}  // namespace

size_t utf8_sequence(std::string_view text, bool& valid) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[0]));
  valid = false;
  if (lead.length == 1 || text.size() < lead.length) return 1;
  const auto second = static_cast<unsigned char>(text[1]);
  if (second < lead.low || second > lead.high) return 1;
  for (size_t i = 2; i < lead.length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 1;
  }
  valid = true;
  return lead.length;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    bool valid = true;
    const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
    const size_t length = ascii ? 1 : utf8_sequence(text.substr(at), valid);
    out += valid ? text.substr(at, length) : std::string_view("\xef\xbf\xbd");
    at += length;
  }
  return out;
}

}  // namespace gantry::shim

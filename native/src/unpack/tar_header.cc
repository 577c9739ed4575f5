#include "unpack/tar_header.h"

#include <algorithm>
#include <cstring>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr size_t kChecksumOffset = 148;
constexpr size_t kChecksumSize = 8;

std::string_view raw_field(Block block, size_t offset, size_t size) {
  return {reinterpret_cast<const char*>(block.data()) + offset, size};
}

// GNU's base-256: the top bit marks it, the next one is the sign, the rest is two's complement, big-endian.
bool parse_base256(std::string_view field, int64_t& out) {
  bool negative = field[0] & 0x40;
  uint8_t fill = negative ? 0xff : 0;
  uint64_t value = negative ? UINT64_MAX : 0;
  for (size_t i = 0; i < field.size(); i++) {
    uint8_t byte = static_cast<uint8_t>(field[i]);
    if (i == 0) byte = negative ? byte | 0x80 : byte & 0x3f;
    // Bytes that no longer fit must be sign fill.
    if (i + 8 < field.size() && byte != fill) return false;
    value = value << 8 | byte;
  }
  out = static_cast<int64_t>(value);
  return (out < 0) == negative;
}

}  // namespace

std::string_view header_text(Block block, size_t offset, size_t size) {
  std::string_view field = raw_field(block, offset, size);
  return field.substr(0, field.find('\0'));
}

bool parse_octal(std::string_view text, int64_t& out) {
  constexpr std::string_view kPadding(" \0", 2);
  size_t begin = text.find_first_not_of(kPadding);
  out = 0;
  if (begin == std::string_view::npos) return true;
  text = text.substr(begin, text.find_last_not_of(kPadding) - begin + 1);
  text = text.substr(0, text.find('\0'));
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '7' || value > (UINT64_MAX >> 4)) return false;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  out = static_cast<int64_t>(value);
  return out >= 0;
}

int64_t header_number(Block block, size_t offset, size_t size, const char* what) {
  std::string_view field = raw_field(block, offset, size);
  int64_t value = 0;
  bool valid = field[0] & 0x80 ? parse_base256(field, value) : parse_octal(field, value);
  if (!valid) fail("tar", "", std::string("read tar header: invalid ") + what);
  return value;
}

bool is_zero_block(Block block) {
  return block[0] == 0 && memcmp(block.data(), block.data() + 1, kBlockSize - 1) == 0;
}

bool has_valid_checksum(Block block) {
  int64_t unsigned_sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < kBlockSize; i++) {
    bool in_field = i >= kChecksumOffset && i < kChecksumOffset + kChecksumSize;
    uint8_t byte = in_field ? ' ' : block[i];
    unsigned_sum += byte;
    signed_sum += static_cast<int8_t>(byte);
  }
  int64_t stored = 0;
  if (!parse_octal(raw_field(block, kChecksumOffset, kChecksumSize), stored)) return false;
  return stored == unsigned_sum || stored == signed_sum;
}

bool is_posix_ustar(Block block) { return raw_field(block, 257, 6) == std::string_view("ustar\0", 6); }

bool is_old_gnu(Block block) { return raw_field(block, 257, 8) == std::string_view("ustar  \0", 8); }

}  // namespace gantry::unpack

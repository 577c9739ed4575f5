// The 512-byte header block of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's manual).
//
//   0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
//   157 link name 100 | 257 magic 6, version 2 | 265 user 32 | 297 group 32 | 329 major 8 | 337 minor 8
//   ustar: 345 prefix 155          old GNU: 386 four sparse runs of 12+12 | 482 more follows 1 | 483 real size 12
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gantry::unpack {

constexpr size_t kBlockSize = 512;
using Block = std::span<const uint8_t, kBlockSize>;

// Text up to the first NUL.
std::string_view header_text(Block block, size_t offset, size_t size);
// An octal or base-256 number. Throws with step "tar" when it is neither, or does not fit; `what` names the field.
int64_t header_number(Block block, size_t offset, size_t size, const char* what);

bool is_zero_block(Block block);
// Whether the stored sum is that of the block, counted with unsigned or (as old programs did) signed bytes.
bool has_valid_checksum(Block block);
bool is_posix_ustar(Block block);
bool is_old_gnu(Block block);

// Octal digits between spaces and NULs, as header fields have them; empty is 0. False when there is anything else.
bool parse_octal(std::string_view text, int64_t& out);

}  // namespace gantry::unpack

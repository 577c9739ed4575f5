// Decompression of a stream whose end is not known: gzip (of one or more members), zstd, bzip2, xz, or none.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "unpack/input.h"
#include "unpack/options.h"

namespace gantry::unpack {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Fills `out`; returns less than its size only at the end of the stream.
  // Throws with step "decompress" on bad, truncated or trailing data.
  virtual size_t read(std::span<uint8_t> out) = 0;
  // How much of `out` a read has filled that threw.
  size_t filled() const { return filled_; }

 protected:
  size_t filled_ = 0;
};

// What the first bytes say. Anything that is no known compression is taken for a plain archive.
Compression detect_compression(std::span<const uint8_t> start);

// A decoder over `input`, which must outlive it. kAuto detects.
// On return `compression` is what was chosen, never kAuto.
std::unique_ptr<Decoder> open_decoder(Compression& compression, Input& input);

const char* compression_name(Compression compression);

}  // namespace gantry::unpack

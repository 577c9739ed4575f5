// Writes ustar headers, and PAX records where a value does not fit them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unpack/output.h"
#include "unpack/tar_entry.h"

namespace gantry::unpack {

class TarWriter {
 public:
  explicit TarWriter(Output& output) : output_(output) {}

  // Writes the header; data_size bytes of data and pad() must follow. Directories' names end in a slash.
  void header(const TarEntry& entry);
  // Fills the last block after `size` bytes of data.
  void pad(uint64_t size) { output_.write_zeros(-size % 512); }
  // The two zero blocks at the end.
  void end() { output_.write_zeros(1024); }

 private:
  Output& output_;
};

}  // namespace gantry::unpack

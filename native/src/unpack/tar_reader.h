// Reads a tar archive from chunks: v7, ustar, PAX and GNU formats, long names, sparse files in all four encodings.
// Where readers of archives differ, this one does what Go's archive/tar does, since that is what every other engine
// and registry sees: links, directories and devices have no data whatever their size says; global PAX headers are
// passed over; the last extended header before an entry counts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "unpack/pax.h"
#include "unpack/tar_entry.h"
#include "unpack/tar_header.h"

namespace gantry::unpack {

class TarReader {
 public:
  // Gives the next piece of the archive, empty at its end. Every piece but the last is a multiple of 512 bytes,
  // and stays valid until the next call.
  using NextChunk = std::function<std::span<const uint8_t>()>;

  explicit TarReader(NextChunk next_chunk) : next_chunk_(std::move(next_chunk)) {}

  // The next entry, or null at the end of the archive. Skips data of the entry before that was not read.
  // Valid until the next call. Throws with step "tar".
  const TarEntry* next();

  // The next piece of the current entry's data, empty when all has been read.
  std::span<const uint8_t> read_data();

  // Reads what follows the end of the archive, so that whoever makes the chunks sees all of the stream.
  void drain();

 private:
  std::optional<Block> next_block();
  Block need_block();
  std::string read_extension(Block header, const char* what);
  void parse_header(Block header);
  void merge_pax(PaxRecords& pax);
  void read_old_sparse(Block header);
  void read_sparse_prefix();
  void check_sparse();
  void skip_padding();

  NextChunk next_chunk_;
  std::span<const uint8_t> chunk_;
  TarEntry entry_;
  uint64_t data_left_ = 0;
  uint32_t padding_ = 0;
  bool ended_ = false;
};

}  // namespace gantry::unpack

// The archive on its way to stdout: buffered, optionally compressed, counted and hashed on both sides.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "unpack/digest.h"
#include "unpack/gzip_blocks.h"

namespace gantry::unpack {

class Output {
 public:
  // hash: compute digests. gzip: compress what is written, by threads that are made here and never end.
  // index: of the blocks of layers, for gzip; or null.
  Output(int fd, bool hash, bool gzip, BlockIndex* index = nullptr);

  // Free space to fill, at most; then commit() what was filled.
  std::span<uint8_t> space();
  void commit(size_t size);
  void write(std::span<const uint8_t> bytes);
  void write_zeros(uint64_t count);
  // A good place to cut the stream, where at least so many bytes have come since the last cut. What is between two
  // cuts that an earlier archive had, too, is not compressed anew.
  void may_cut(size_t least);
  // Ends the stream. Nothing may be written after it.
  void finish();

  uint64_t uncompressed_bytes() const { return uncompressed_bytes_; }
  uint64_t compressed_bytes() const { return compressed_bytes_; }
  // "sha256:..." of what went to fd, and of what was written; empty without `hash`. Once each, after finish().
  std::string digest();
  std::string diff_id();

 private:
  void count(std::span<const uint8_t> bytes);
  void flush();
  // With gzip, by a thread of its own until all is sent.
  void send(std::span<const uint8_t> bytes);
  // Has the disk begin with what was written: whoever flushes the file waits for the rest only.
  void begin_writeback();

  static constexpr size_t kBufferSize = 256 << 10;
  int fd_;
  bool hash_;
  // Without gzip, which has blocks of its own.
  std::unique_ptr<uint8_t[]> buffer_;
  size_t used_ = 0;
  // Never deleted: its threads use it until the program ends.
  GzipBlocks* gzip_ = nullptr;
  BlockIndex* index_;
  Sha256 plain_sha_;
  Sha256 sent_sha_;
  std::string diff_id_;
  uint64_t uncompressed_bytes_ = 0;
  uint64_t compressed_bytes_ = 0;
  bool is_file_ = false;
  uint64_t writeback_ = 0;
};

}  // namespace gantry::unpack

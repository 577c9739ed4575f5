// The compressed stream as it arrives on stdin: buffered, counted, and hashed as it is read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "unpack/digest.h"

namespace gantry::unpack {

class Input {
 public:
  // Reads fd. While waiting it also watches watch_fd (the report): when nobody is left to read the report,
  // the caller has gone, and reading fails with step "read" and EPIPE.
  Input(int fd, int watch_fd, bool hash);

  // The unread bytes; reads more when there are none. Empty at the end of the stream.
  std::span<const uint8_t> peek();
  // At least `count` unread bytes, fewer only when the stream ends before. `count` is at most a few dozen.
  std::span<const uint8_t> peek_at_least(size_t count);
  void consume(size_t count) { begin_ += count; }
  // Copies or reads straight into `out`, until it is full or the stream ends. Returns how much.
  size_t read_into(std::span<uint8_t> out);

  uint64_t bytes() const { return bytes_; }
  // Digest of everything read. Call once, at the end of the stream.
  std::string digest() { return hash_ ? sha_.finish() : std::string(); }

 private:
  size_t read_some(uint8_t* out, size_t size);

  static constexpr size_t kBufferSize = 256 << 10;
  int fd_;
  int watch_fd_;
  bool hash_;
  Sha256 sha_;
  uint64_t bytes_ = 0;
  std::unique_ptr<uint8_t[]> buffer_ = std::make_unique_for_overwrite<uint8_t[]>(kBufferSize);
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace gantry::unpack

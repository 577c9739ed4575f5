// Hands chunks of the uncompressed archive from the reading thread to the writing one: a ring of fixed buffers,
// one producer, one consumer. A slow disk holds back the reader, and through it the download.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "unpack/failure.h"

namespace gantry::unpack {

class ChunkQueue {
 public:
  // A multiple of tar's block size, so that a block never lies in two chunks (every chunk but the last is full).
  static constexpr size_t kChunkSize = 256 << 10;

  // Producer: the next buffer to fill; waits while all are full.
  std::span<uint8_t> acquire();
  // Producer: hands over `size` bytes of the acquired buffer. The last chunk may be empty.
  void publish(size_t size, bool last);
  // Producer: the stream is broken; the consumer's next() throws it once it has taken what came before.
  void fail(Failure failure);

  // Consumer: gives back the chunk it had and waits for the next; empty at the end. Throws what fail() was given.
  std::span<const uint8_t> next();

 private:
  static constexpr size_t kChunks = 8;
  struct Chunk {
    std::unique_ptr<uint8_t[]> bytes = std::make_unique_for_overwrite<uint8_t[]>(kChunkSize);
    size_t size = 0;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Chunk, kChunks> chunks_;
  size_t published_ = 0;  // chunks ever handed over
  size_t released_ = 0;   // chunks ever given back
  bool holding_ = false;
  bool ended_ = false;
  std::optional<Failure> failure_;
};

}  // namespace gantry::unpack

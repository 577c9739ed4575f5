#include "unpack/chunk_queue.h"

namespace gantry::unpack {

std::span<uint8_t> ChunkQueue::acquire() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return published_ - released_ < kChunks; });
  return {chunks_[published_ % kChunks].bytes.get(), kChunkSize};
}

void ChunkQueue::publish(size_t size, bool last) {
  {
    std::lock_guard lock(mutex_);
    chunks_[published_ % kChunks].size = size;
    published_++;
    ended_ = last;
  }
  changed_.notify_one();
}

void ChunkQueue::fail(Failure failure) {
  {
    std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  changed_.notify_one();
}

std::span<const uint8_t> ChunkQueue::next() {
  std::unique_lock lock(mutex_);
  if (holding_) {
    holding_ = false;
    released_++;
    changed_.notify_one();
  }
  changed_.wait(lock, [&] { return published_ > released_ || ended_ || failure_; });
  if (published_ == released_) {
    if (failure_) throw *failure_;
    return {};
  }
  holding_ = true;
  Chunk& chunk = chunks_[released_ % kChunks];
  return {chunk.bytes.get(), chunk.size};
}

}  // namespace gantry::unpack

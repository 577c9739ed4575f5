// Gzip by several threads: the stream is cut into blocks that are compressed by themselves and put together in
// their order, as one gzip member. The cuts are at fixed places, so that the same input gives the same bytes on
// every machine.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <span>

namespace gantry::unpack {

class GzipBlocks {
 public:
  static constexpr size_t kBlockSize = 1 << 20;

  // Starts the threads, which have all that they need when it returns: system calls may be locked then. They
  // wait for work until the process ends, so this is never destroyed.
  GzipBlocks();
  ~GzipBlocks() = delete;

  // Space for the next bytes, at most; then commit() what was filled.
  std::span<uint8_t> space();
  // send: takes the next bytes of the compressed stream.
  using Send = std::function<void(std::span<const uint8_t>)>;
  // Hands a full block on. Before that, `plain` is called with its bytes, in order.
  void commit(size_t size, const Send& plain, const Send& send);
  // Ends the stream.
  void finish(const Send& plain, const Send& send);

 private:
  // Not compressed yet; compressed, to be sent; not to be compressed.
  enum class State { kOpen, kDone, kBroken };
  struct Block {
    std::unique_ptr<uint8_t[]> input;
    size_t size = 0;
    std::unique_ptr<uint8_t[]> output;
    size_t output_size = 0;
    bool last = false;
    State state = State::kOpen;
  };

  void work(std::latch& started);
  void hand_over(bool last, const Send& plain);
  void send_oldest(const Send& send);
  Block& at(uint64_t index) { return blocks_[index % kBlocks]; }

  static constexpr unsigned kMaxThreads = 4;
  // Those that are compressed, two that wait to be, one that is filled, one that is sent.
  static constexpr size_t kBlocks = kMaxThreads + 4;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Block, kBlocks> blocks_;
  uint64_t filled_ = 0;  // blocks handed over; the next one is being filled
  uint64_t taken_ = 0;   // blocks that a thread has taken
  uint64_t sent_ = 0;    // blocks given back
  bool began_ = false;
  uint32_t crc_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace gantry::unpack

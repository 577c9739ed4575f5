// Gzip by several threads: the stream is cut into blocks that are compressed by themselves and put together in
// their order, as one gzip member. Where the cuts are depends on the input alone, so that the same input gives the same
// bytes; blocks that an earlier layer had are taken from there.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <span>

#include "unpack/block_index.h"

namespace gantry::unpack {

class Deflater;

class GzipBlocks {
 public:
  static constexpr size_t kBlockSize = 1 << 20;

  using Send = std::function<void(std::span<const uint8_t>)>;
  // Starts the threads, which have all that they need when it returns: system calls may be locked then. They
  // wait for work until the process ends, so this is never destroyed.
  // plain: is called with the bytes of each block, in order. send: takes the bytes of the compressed stream, on a
  // thread of its own. index: of blocks, or null.
  GzipBlocks(Send plain, Send send, BlockIndex* index);
  ~GzipBlocks() = delete;

  // Space for the next bytes, at most; then commit() what was filled.
  std::span<uint8_t> space();
  void commit(size_t size);
  // Ends the block that is being filled, if it has so many bytes.
  void cut(size_t least);
  // Ends the stream: all was sent when it returns. This and the above throw what `send` threw.
  void finish();

 private:
  // Not compressed yet; compressed, to be sent; not to be compressed.
  enum class State { kOpen, kDone, kBroken };
  struct Block {
    std::unique_ptr<uint8_t[]> input;
    size_t size = 0;
    std::unique_ptr<uint8_t[]> output;
    size_t output_size = 0;
    // With an index.
    BlockTag tag;
    uint32_t output_crc = 0;
    bool last = false;
    State state = State::kOpen;
    // Nobody looks at the input any more, once it is compressed.
    bool is_read = true;
  };

  void work(std::latch& started);
  // Fills in what comes out of a block. False: the compressor gave up.
  bool compress(Block& block, Deflater& deflater, BlockTagger* tagger);
  void hand_over(bool last);
  void send_all(std::latch& started);
  void send_block(Block& block);
  static bool can_be_sent(const Block& block) { return block.state != State::kOpen && block.is_read; }
  void tell_sender(const Block& block);
  Block& at(uint64_t index) { return blocks_[index % kBlocks]; }

  const Send plain_;
  const Send send_;
  BlockIndex* const index_;
  static constexpr unsigned kMaxThreads = 4;
  // Those that are compressed, two that wait to be, one that is filled, one that is sent.
  static constexpr size_t kBlocks = kMaxThreads + 4;
  std::mutex mutex_;
  // Each has one kind of thread that waits: those that compress, the one that sends, the one that fills.
  std::condition_variable to_compress_;
  std::condition_variable to_send_;
  std::condition_variable given_back_;
  std::array<Block, kBlocks> blocks_;
  uint64_t filled_ = 0;  // blocks handed over; the next one is being filled
  uint64_t taken_ = 0;   // blocks that a thread has taken
  uint64_t sent_ = 0;    // blocks given back
  bool ended_ = false;   // no more is sent: all was, or something is wrong
  std::exception_ptr wrong_;
  // Compressed bytes that were sent.
  uint64_t length_ = 0;
  uint32_t crc_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace gantry::unpack

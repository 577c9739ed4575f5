// The blocks of gzip layers that were packed before, so that a layer that has much in common with one of them takes
// its compressed bytes from there. A layer's index is a file beside it: a head with a key, then an entry for each block.
//
// A block is known by a MAC of its bytes: quicker than a hash, and who does not have the key, which never leaves the
// files of the store, can't make two blocks that have the same one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace gantry::unpack {

using BlockTag = std::array<uint8_t, 16>;

// As in the file, in the machine's byte order.
struct BlockEntry {
  BlockTag tag;
  // Of the compressed bytes in the layer.
  uint64_t offset;
  uint32_t size;
  uint32_t crc;
};
static_assert(sizeof(BlockEntry) == 32);

struct BlockIndexHead {
  // Another one after a change of what the compressor makes of a block.
  std::array<char, 8> magic;
  std::array<uint8_t, 16> key;
};
static_assert(sizeof(BlockIndexHead) == 24);

// Makes tags; one for each thread.
class BlockTagger {
 public:
  explicit BlockTagger(const BlockIndexHead& head);
  BlockTag tag(std::span<const uint8_t> block);

 private:
  struct State;
  struct Free {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Free> state_;
};

uint32_t crc_of(std::span<const uint8_t> bytes);

// What is known of earlier layers, and what this one is made of. Once set up, only send() changes it; find() and
// read() may be called by any thread.
class BlockIndex {
 public:
  // own: the file for this layer's entries, with its head. others: pairs of an earlier layer's index and the layer;
  // what is no index with the same key is passed over. Throws a Failure when `own` has no good head.
  BlockIndex(int own, std::span<const std::pair<int, int>> others);

  const BlockIndexHead& head() const { return head_; }
  // Puts the compressed bytes of a block into `output`, if they are known, and returns their number; else -1.
  // Bytes that are not what they were are not known.
  int64_t read(const BlockTag& tag, std::span<uint8_t> output) const;
  // Notes the next block of this layer.
  void add(const BlockTag& tag, uint64_t offset, uint32_t size, uint32_t crc);
  // Writes what was noted. Throws a Failure.
  void write();

 private:
  struct Place {
    int fd;
    uint64_t offset;
    uint32_t size;
    uint32_t crc;
  };
  struct TagHash {
    size_t operator()(const BlockTag& tag) const;
  };
  void load(int index, int layer);

  int own_;
  BlockIndexHead head_{};
  std::unordered_map<BlockTag, Place, TagHash> known_;
  std::vector<BlockEntry> entries_;
};

}  // namespace gantry::unpack

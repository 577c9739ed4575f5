#include "unpack/block_index.h"

// The low-level interfaces are deliberate: see digest.h.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <isa-l/crc.h>
#include <openssl/aes.h>
#include <openssl/modes.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr std::array<char, 8> kMagic = {'g', 'b', 'l', 'o', 'c', 'k', 's', '1'};
// Of 32 GiB in blocks of 64 KiB.
constexpr off_t kMaxIndexSize = 16 << 20;

// False: not all of it is there.
bool read_at(int fd, void* data, size_t size, uint64_t offset) {
  auto* to = static_cast<char*>(data);
  while (size > 0) {
    ssize_t n = pread(fd, to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

// GMAC, always with the same nonce: nobody sees the tags but those who have the key.
struct BlockTagger::State {
  AES_KEY key;
  GCM128_CONTEXT* gcm;
};

BlockTagger::BlockTagger(const BlockIndexHead& head) : state_(new State) {
  AES_set_encrypt_key(head.key.data(), 128, &state_->key);
  state_->gcm = CRYPTO_gcm128_new(&state_->key, reinterpret_cast<block128_f>(AES_encrypt));
  if (state_->gcm == nullptr) throw std::bad_alloc();
}

void BlockTagger::Free::operator()(State* state) const {
  CRYPTO_gcm128_release(state->gcm);
  delete state;
}

BlockTag BlockTagger::tag(std::span<const uint8_t> block) {
  constexpr std::array<uint8_t, 12> kNonce{};
  BlockTag tag;
  CRYPTO_gcm128_setiv(state_->gcm, kNonce.data(), kNonce.size());
  CRYPTO_gcm128_aad(state_->gcm, block.data(), block.size());
  CRYPTO_gcm128_tag(state_->gcm, tag.data(), tag.size());
  return tag;
}

uint32_t crc_of(std::span<const uint8_t> bytes) { return crc32_gzip_refl(0, bytes.data(), bytes.size()); }

BlockIndex::BlockIndex(int own, std::span<const std::pair<int, int>> others) : own_(own) {
  if (!read_at(own, &head_, sizeof head_, 0) || head_.magic != kMagic) fail("blocks", "", "the index of blocks has no head");
  for (auto [index, layer] : others) load(index, layer);
}

void BlockIndex::load(int index, int layer) {
  struct stat st;
  if (fstat(index, &st) != 0 || st.st_size > kMaxIndexSize) return;
  BlockIndexHead head;
  if (!read_at(index, &head, sizeof head, 0) || memcmp(&head, &head_, sizeof head) != 0) return;
  // What a power cut left of it may end anywhere.
  std::vector<BlockEntry> entries((static_cast<size_t>(st.st_size) - sizeof head) / sizeof(BlockEntry));
  if (!read_at(index, entries.data(), entries.size() * sizeof(BlockEntry), sizeof head)) return;
  for (const BlockEntry& entry : entries) known_.try_emplace(entry.tag, Place{layer, entry.offset, entry.size, entry.crc});
}

int64_t BlockIndex::read(const BlockTag& tag, std::span<uint8_t> output) const {
  auto found = known_.find(tag);
  if (found == known_.end()) return -1;
  const Place& place = found->second;
  if (place.size > output.size() || !read_at(place.fd, output.data(), place.size, place.offset)) return -1;
  if (crc_of(output.first(place.size)) != place.crc) return -1;
  return place.size;
}

void BlockIndex::add(const BlockTag& tag, uint64_t offset, uint32_t size, uint32_t crc) {
  entries_.push_back({tag, offset, size, crc});
}

void BlockIndex::write() {
  const auto* data = reinterpret_cast<const char*>(entries_.data());
  size_t left = entries_.size() * sizeof(BlockEntry);
  if (lseek(own_, sizeof(BlockIndexHead), SEEK_SET) < 0) fail_errno("blocks", "");
  while (left > 0) {
    ssize_t n = ::write(own_, data, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("blocks", "");
    data += n;
    left -= static_cast<size_t>(n);
  }
}

// A tag's bits are as good as random.
size_t BlockIndex::TagHash::operator()(const BlockTag& tag) const {
  size_t hash;
  memcpy(&hash, tag.data(), sizeof hash);
  return hash;
}

}  // namespace gantry::unpack

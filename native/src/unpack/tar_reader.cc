#include "unpack/tar_reader.h"

#include <algorithm>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr uint64_t kMaxExtensionSize = 1 << 20;    // of one PAX header or long name, as in Go
constexpr size_t kMaxSparseRuns = 1 << 20;         // 16 MiB of memory
constexpr uint64_t kMaxFileSize = INT64_MAX;
constexpr uint32_t kNoId = UINT32_MAX;             // "leave as it is" to chown(2): never a real id

[[noreturn]] void bad(std::string_view what) { fail("tar", "", std::string("read tar: ").append(what)); }

// The words that clients know for what is no tar at all.
[[noreturn]] void bad_header() { fail("tar", "", "archive/tar: invalid tar header"); }

uint32_t checked_id(int64_t value, const char* what) {
  if (value < 0 || value >= kNoId) bad(std::string(what) + " out of range");
  return static_cast<uint32_t>(value);
}

uint32_t padding_of(uint64_t size) { return static_cast<uint32_t>(-size % kBlockSize); }

bool to_entry_type(char flag, std::string_view name, EntryType& out) {
  switch (flag) {
    case '\0':
      // Before ustar a directory was a file whose name ends in a slash.
      out = name.ends_with('/') ? EntryType::kDirectory : EntryType::kRegular;
      return true;
    case '0': case 'S': out = EntryType::kRegular; return true;
    case '1': out = EntryType::kHardlink; return true;
    case '2': out = EntryType::kSymlink; return true;
    case '3': out = EntryType::kCharDevice; return true;
    case '4': out = EntryType::kBlockDevice; return true;
    case '5': out = EntryType::kDirectory; return true;
    case '6': out = EntryType::kFifo; return true;
    default: return false;
  }
}

}  // namespace

std::optional<Block> TarReader::next_block() {
  if (chunk_.empty()) chunk_ = next_chunk_();
  if (chunk_.empty()) return std::nullopt;
  if (chunk_.size() < kBlockSize) bad("unexpected end of archive");
  Block block(chunk_.data(), kBlockSize);
  chunk_ = chunk_.subspan(kBlockSize);
  return block;
}

Block TarReader::need_block() {
  std::optional<Block> block = next_block();
  if (!block) bad("unexpected end of archive");
  return *block;
}

std::span<const uint8_t> TarReader::read_data() {
  if (data_left_ == 0) return {};
  if (chunk_.empty()) chunk_ = next_chunk_();
  if (chunk_.empty()) bad("unexpected end of archive");
  size_t size = static_cast<size_t>(std::min<uint64_t>(chunk_.size(), data_left_));
  std::span<const uint8_t> piece = chunk_.first(size);
  chunk_ = chunk_.subspan(size);
  data_left_ -= size;
  return piece;
}

void TarReader::skip_padding() {
  while (!read_data().empty()) continue;
  // Padding lies in the same chunk as the data before it, as chunks are whole blocks. Only at the very end of a
  // stream may it be missing.
  chunk_ = chunk_.subspan(std::min<size_t>(padding_, chunk_.size()));
  padding_ = 0;
}

void TarReader::drain() {
  do chunk_ = next_chunk_();
  while (!chunk_.empty());
}

std::string TarReader::read_extension(Block header, const char* what) {
  int64_t size = header_number(header, 124, 12, "size");
  if (size < 0 || static_cast<uint64_t>(size) > kMaxExtensionSize) bad(std::string(what) + " too long");
  data_left_ = static_cast<uint64_t>(size);
  padding_ = padding_of(data_left_);
  std::string text;
  text.reserve(static_cast<size_t>(size));
  for (auto piece = read_data(); !piece.empty(); piece = read_data())
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  skip_padding();
  return text;
}

const TarEntry* TarReader::next() {
  if (ended_) return nullptr;
  skip_padding();
  PaxRecords pax;
  std::optional<std::string> long_name;
  std::optional<std::string> long_link;
  for (;;) {
    std::optional<Block> block = next_block();
    if (!block || is_zero_block(*block)) {
      // Two zero blocks end an archive; one, or none, at the end of the stream is accepted too.
      if (block) block = next_block();
      if (block && !is_zero_block(*block)) bad_header();
      ended_ = true;
      return nullptr;
    }
    if (!has_valid_checksum(*block)) bad_header();
    char flag = static_cast<char>((*block)[156]);
    if (flag == 'x') {
      pax = parse_pax(read_extension(*block, "pax header"));
    } else if (flag == 'g') {
      read_extension(*block, "global pax header");
    } else if (flag == 'L' || flag == 'K') {
      std::string text = read_extension(*block, "long name");
      text.resize(std::min(text.size(), text.find('\0')));
      (flag == 'L' ? long_name : long_link) = std::move(text);
    } else {
      parse_header(*block);
      merge_pax(pax);
      if (long_name && !long_name->empty()) entry_.name = std::move(*long_name);
      if (long_link && !long_link->empty()) entry_.link_name = std::move(*long_link);
      if (flag == 'S') read_old_sparse(*block);
      else if (pax.sparse_major == 1u && pax.sparse_minor == 0u && entry_.type == EntryType::kRegular) read_sparse_prefix();
      check_sparse();
      return &entry_;
    }
  }
}

void TarReader::parse_header(Block header) {
  entry_ = TarEntry();
  entry_.name = header_text(header, 0, 100);
  if (is_posix_ustar(header)) {
    std::string_view prefix = header_text(header, 345, 155);
    if (!prefix.empty()) entry_.name = std::string(prefix).append("/").append(entry_.name);
  }
  entry_.link_name = header_text(header, 157, 100);
  char flag = static_cast<char>(header[156]);
  if (!to_entry_type(flag, entry_.name, entry_.type))
    fail("tar", entry_.name, "unhandled tar header type " + std::to_string(static_cast<unsigned char>(flag)));
  entry_.mode = static_cast<uint32_t>(header_number(header, 100, 8, "mode")) & 07777;
  entry_.uid = checked_id(header_number(header, 108, 8, "uid"), "uid");
  entry_.gid = checked_id(header_number(header, 116, 8, "gid"), "gid");
  entry_.mtime.seconds = header_number(header, 136, 12, "mtime");
  if (entry_.type == EntryType::kCharDevice || entry_.type == EntryType::kBlockDevice) {
    entry_.device_major = checked_id(header_number(header, 329, 8, "device"), "device number");
    entry_.device_minor = checked_id(header_number(header, 337, 8, "device"), "device number");
  }
  int64_t size = header_number(header, 124, 12, "size");
  if (size < 0) bad("negative size");
  entry_.data_size = entry_.type == EntryType::kRegular ? static_cast<uint64_t>(size) : 0;
  entry_.file_size = entry_.data_size;
  data_left_ = entry_.data_size;
  padding_ = padding_of(data_left_);
}

void TarReader::merge_pax(PaxRecords& pax) {
  if (pax.path) entry_.name = std::move(*pax.path);
  if (pax.link_path) entry_.link_name = std::move(*pax.link_path);
  if (pax.uid) entry_.uid = checked_id(static_cast<int64_t>(*pax.uid), "uid");
  if (pax.gid) entry_.gid = checked_id(static_cast<int64_t>(*pax.gid), "gid");
  if (pax.mtime) entry_.mtime = *pax.mtime;
  entry_.xattrs = std::move(pax.xattrs);
  if (entry_.type != EntryType::kRegular) return;
  if (pax.size) {
    if (*pax.size > kMaxFileSize) bad("size out of range");
    entry_.data_size = entry_.file_size = data_left_ = *pax.size;
    padding_ = padding_of(data_left_);
  }
  bool new_format = pax.sparse_major == 1u && pax.sparse_minor == 0u;
  if (!new_format && !pax.has_sparse_map) return;
  entry_.sparse = true;
  if (pax.sparse_name && !pax.sparse_name->empty()) entry_.name = std::move(*pax.sparse_name);
  if (pax.sparse_size) entry_.file_size = *pax.sparse_size;
  entry_.runs = std::move(pax.sparse_runs);
}

// The old GNU format: four runs in the header, then extension blocks of 21 runs each, before the data.
void TarReader::read_old_sparse(Block header) {
  if (!is_old_gnu(header)) bad("sparse file in a format that has none");
  entry_.sparse = true;
  int64_t real_size = header_number(header, 483, 12, "real size");
  if (real_size < 0) bad("negative size");
  entry_.file_size = static_cast<uint64_t>(real_size);
  auto add_runs = [&](Block block, size_t at, int count) {
    for (int i = 0; i < count && block[at] != 0; i++, at += 24) {
      int64_t offset = header_number(block, at, 12, "sparse map");
      int64_t length = header_number(block, at + 12, 12, "sparse map");
      if (offset < 0 || length < 0) bad("invalid sparse map");
      entry_.runs.push_back({static_cast<uint64_t>(offset), static_cast<uint64_t>(length)});
    }
  };
  add_runs(header, 386, 4);
  bool more = header[482] != 0;
  while (more) {
    Block block = need_block();
    add_runs(block, 0, 21);
    more = block[504] != 0;
    if (entry_.runs.size() > kMaxSparseRuns) bad("too many runs in a sparse file");
  }
}

// PAX sparse format 1.0: the data begins with "count\noffset\nlength\n...", padded to a whole block.
void TarReader::read_sparse_prefix() {
  std::string digits;
  size_t used = 0;  // of the current block
  std::optional<Block> block;
  auto next_number = [&]() -> uint64_t {
    digits.clear();
    for (;;) {
      if (!block || used == kBlockSize) {
        if (data_left_ < kBlockSize) bad("invalid sparse map");
        block = need_block();
        data_left_ -= kBlockSize;
        used = 0;
      }
      char c = static_cast<char>((*block)[used++]);
      if (c == '\n') break;
      if (digits.size() >= 20) bad("invalid sparse map");
      digits += c;
    }
    uint64_t value = 0;
    if (!parse_decimal(digits, value)) bad("invalid sparse map");
    return value;
  };
  uint64_t count = next_number();
  if (count > kMaxSparseRuns) bad("too many runs in a sparse file");
  for (uint64_t i = 0; i < count; i++) {
    uint64_t offset = next_number();
    entry_.runs.push_back({offset, next_number()});
  }
  entry_.data_size = data_left_;
}

// Runs must be in order, apart, inside the file, and as long together as the data that follows.
void TarReader::check_sparse() {
  if (!entry_.sparse) return;
  if (entry_.file_size > kMaxFileSize) bad("size out of range");
  uint64_t end = 0;
  uint64_t total = 0;
  for (const SparseRun& run : entry_.runs) {
    if (run.offset < end || run.length > entry_.file_size || run.offset > entry_.file_size - run.length)
      bad("invalid sparse map");
    end = run.offset + run.length;
    total += run.length;
  }
  if (total != entry_.data_size) bad("invalid sparse map");
}

}  // namespace gantry::unpack

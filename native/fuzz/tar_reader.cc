// Any bytes, in pieces of any size that the chunk queue could make, must be read or refused as an archive: no crash,
// no endless loop, no promise that the data does not keep.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "unpack/failure.h"
#include "unpack/in_root.h"
#include "unpack/tar_reader.h"

using namespace gantry::unpack;

namespace {

void require(bool condition) {
  if (!condition) abort();
}

void read_archive(std::span<const uint8_t> bytes, size_t chunk_size) {
  TarReader reader([&]() -> std::span<const uint8_t> {
    std::span<const uint8_t> chunk = bytes.first(std::min(chunk_size, bytes.size()));
    bytes = bytes.subspan(chunk.size());
    return chunk;
  });
  bool skip = false;
  while (const TarEntry* entry = reader.next()) {
    bool escaped = false;
    std::string path = clean_path(entry->name, &escaped);
    require(!path.starts_with('/') && !path.ends_with('/') && ("/" + path + "/").find("/../") == std::string::npos);
    uint64_t end = 0;
    for (const SparseRun& run : entry->runs) {
      require(run.offset >= end && run.offset + run.length <= entry->file_size);
      end = run.offset + run.length;
    }
    require(entry->uid != UINT32_MAX && entry->gid != UINT32_MAX && entry->mode <= 07777);
    require(entry->mtime.nanoseconds < 1'000'000'000);
    // Every other entry's data is skipped.
    skip = !skip;
    uint64_t size = 0;
    for (auto piece = skip ? std::span<const uint8_t>() : reader.read_data(); !piece.empty(); piece = reader.read_data())
      size += piece.size();
    require(skip || size == entry->data_size);
  }
  reader.drain();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  size_t chunk_size = (data[0] % 4 + 1) * kBlockSize;
  try {
    read_archive({data + 1, size - 1}, chunk_size);
  } catch (const Failure& failure) {
    require(failure.step == "tar" && !failure.message.empty());
  }
  return 0;
}

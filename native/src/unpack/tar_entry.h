// One entry of a tar archive, with everything that PAX and GNU extensions say about it merged in.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gantry::unpack {

enum class EntryType { kRegular, kHardlink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

// A run of data in a sparse file; what lies between runs is a hole.
struct SparseRun {
  uint64_t offset;
  uint64_t length;
};

struct TarEntry {
  std::string name;  // as in the archive, not cleaned
  std::string link_name;
  EntryType type = EntryType::kRegular;
  uint32_t mode = 0;  // the low 12 bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  Timestamp mtime;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t data_size = 0;  // bytes of data that follow in the archive
  uint64_t file_size = 0;  // size of the file; differs from data_size when sparse
  bool sparse = false;
  std::vector<SparseRun> runs;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

}  // namespace gantry::unpack

// Walks a directory (or takes one file) and writes it as a tar archive: names in order, hard links found.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "unpack/options.h"
#include "unpack/output.h"
#include "unpack/tar_entry.h"
#include "unpack/tar_writer.h"

namespace gantry::unpack {

struct PackTotals {
  uint64_t entries = 0;
  // Files that shrank while they were read; what was missing is zeros in the archive.
  uint64_t changed = 0;
};

class Packer {
 public:
  // overlay_upper: what is walked is an overlay's upper directory; its whiteouts become ".wh." entries.
  Packer(Output& output, bool overlay_upper) : output_(output), writer_(output), overlay_upper_(overlay_upper) {}

  // Packs options.path below `root`, and ends the archive. Throws a Failure.
  PackTotals run(int root, const Options& options);

 private:
  struct Attributes;
  void pack(int directory, const std::string& name, const std::string& archive_name);
  void pack_children(int directory, const std::string& archive_name);
  void pack_directory(int directory, const std::string& name, const std::string& archive_name);
  void pack_open_directory(int fd, const std::string& archive_name, const struct stat& st);
  void pack_file(int directory, const std::string& name, const std::string& archive_name);
  void pack_node(int directory, const std::string& name, const std::string& archive_name, const struct stat& st);
  void pack_whiteout(const std::string& archive_name, const struct stat& st);
  bool pack_hardlink(const std::string& archive_name, const struct stat& st);
  void write_contents(int fd, uint64_t size, const std::string& archive_name);
  // The attributes that belong into the archive, with `read_list` and `read_value` as the system calls.
  template <typename ReadList, typename ReadValue>
  Attributes read_attributes(const std::string& archive_name, ReadList read_list, ReadValue read_value);
  Attributes attributes_of(int fd, const std::string& archive_name);
  void write_header(TarEntry& entry);

  static constexpr size_t kMaxXattrSize = 65536;  // XATTR_SIZE_MAX, XATTR_LIST_MAX
  std::unique_ptr<char[]> xattr_buffer_ = std::make_unique_for_overwrite<char[]>(kMaxXattrSize);
  Output& output_;
  TarWriter writer_;
  bool overlay_upper_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  PackTotals totals_;
};

}  // namespace gantry::unpack

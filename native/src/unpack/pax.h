// PAX extended header records: "<length> <key>=<value>\n", where length counts the whole record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unpack/tar_entry.h"

namespace gantry::unpack {

// What the records of one extended header say. A value that is absent (or empty, which means "as in the header")
// is not set.
struct PaxRecords {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<uint64_t> size;
  std::optional<uint64_t> uid;
  std::optional<uint64_t> gid;
  std::optional<Timestamp> mtime;
  std::vector<std::pair<std::string, std::string>> xattrs;

  // GNU.sparse.*: versions 0.0 and 0.1 carry the map here, version 1.0 in front of the data.
  std::optional<uint64_t> sparse_major;
  std::optional<uint64_t> sparse_minor;
  std::optional<std::string> sparse_name;
  std::optional<uint64_t> sparse_size;
  std::vector<SparseRun> sparse_runs;
  bool has_sparse_map = false;
};

// Throws with step "tar" on a malformed record.
PaxRecords parse_pax(std::string_view text);

// Decimal digits only, and in range.
bool parse_decimal(std::string_view text, uint64_t& out);
// "[-]seconds[.fraction]"
bool parse_pax_time(std::string_view text, Timestamp& out);

}  // namespace gantry::unpack

// Writes the entries of an archive below a directory: a layer (with whiteouts) or the tar of a `docker cp`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "unpack/directory_cache.h"
#include "unpack/metadata.h"
#include "unpack/options.h"
#include "unpack/tar_entry.h"
#include "unpack/tar_reader.h"

namespace gantry::unpack {

struct ExtractRules {
  // A layer: whiteouts become overlayfs' own, names that climb out stop at the top, the top itself may be described.
  // Otherwise: names are literal, climbing out is an error, the top keeps its metadata.
  bool layer = true;
  bool no_overwrite_dir_non_dir = false;
  std::optional<Owner> chown;  // instead of the owners in the archive
  uint64_t max_entries = 0;    // counts missing parents too; 0 is none
  std::string destination;     // how messages call the top, "/dir"
  std::function<void()> await_lowers;  // returns when the lower layers are complete; none: they are
};

struct ExtractTotals {
  uint64_t entries = 0;
  uint64_t disk_bytes = 0;
  bool top = false;  // the archive described the top itself
};

class Extractor {
 public:
  // Writes below `base`. `lowers` are the directories of the layers below, the uppermost first: a parent that the
  // archive does not mention looks as it does there (0755 root:root where it is nowhere).
  Extractor(int base, ExtractRules rules, std::vector<int> lowers);

  // Writes all entries and then the directories' times. Throws a Failure.
  ExtractTotals run(TarReader& reader);

 private:
  void write_entry(TarReader& reader, const TarEntry& entry);
  void write_top(const TarEntry& entry);
  void write_directory(const Directory& parent, const std::string& name, const std::string& path, const TarEntry& entry);
  void write_file(TarReader& reader, const Directory& parent, const std::string& name, const TarEntry& entry);
  void write_contents(TarReader& reader, int fd, const TarEntry& entry);
  void write_hardlink(const Directory& parent, const std::string& name, const TarEntry& entry);
  void write_symlink(const Directory& parent, const std::string& name, const TarEntry& entry);
  void write_node(const Directory& parent, const std::string& name, const TarEntry& entry);
  // False when the name is not a whiteout and must be written as it is.
  bool write_whiteout(const std::string& path, const TarEntry& entry);
  void set_opaque(int directory, const std::string& name, std::string_view path);
  void make_parent(const Directory& parent, const std::string& name, const std::string& path);
  void inherit_later(int fd, const std::string& path);
  // The directory has metadata of its own now.
  void inherit_not(int fd, const std::string& path);
  void inherit();
  void copy_lower_metadata(int fd, const std::string& path);

  // What takes the name, after this nothing does (but a directory, if that is what is to come).
  enum class Before { kNothing, kDirectory, kReplaced };
  Before clear_place(const Directory& parent, const std::string& name, const TarEntry& entry);
  // `make` returns false and sets errno; what has the name already goes.
  template <typename Make>
  void make_in_place(const Directory& parent, const std::string& name, const TarEntry& entry, const char* step, Make make);

  Owner owner_of(const TarEntry& entry) const;
  void finish_metadata(const Place& place, const Directory& parent, const TarEntry& entry);
  void count_entry();
  void remember_time(const std::string& path, Timestamp mtime);
  void count_name(const std::string& path);
  void write_times();

  struct DirectoryTime {
    std::string path;
    Timestamp mtime;
  };

  int base_;
  ExtractRules rules_;
  std::vector<int> lowers_;
  DirectoryCache directories_;
  std::vector<DirectoryTime> times_;
  // Made without a description, by inode number: they will look like the lower layers' of that path.
  std::map<ino_t, std::string> inherited_;
  uint64_t names_bytes_ = 0;
  // A default ACL somewhere makes the mode given at creation not the mode of the file: set all of them explicitly.
  bool always_set_mode_;
  ExtractTotals totals_;
};

}  // namespace gantry::unpack

// The directories that entries go into, kept open: archives list a directory's entries next to one another, so most
// entries need no path lookup at all.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "unpack/in_root.h"
#include "kernel/unique_fd.h"

namespace gantry::unpack {

struct Directory {
  UniqueFd fd;  // O_PATH or O_RDONLY
  // New entries get the directory's group (and new directories the bit), so their ownership must be set explicitly.
  bool set_group_id;
};
using DirectoryRef = std::shared_ptr<const Directory>;

class DirectoryCache {
 public:
  // Makes the missing directory `name` in `parent`; `path` is its whole path.
  using MakeDirectory = std::function<void(const Directory& parent, const std::string& name, const std::string& path)>;

  DirectoryCache(int base, Scope scope, MakeDirectory make) : base_(base), scope_(scope), make_(std::move(make)) {}

  // The directory at a clean path, following links inside the root, making what is missing. Throws with step "path".
  DirectoryRef open(std::string_view path);
  // The directory at a clean path, or null (and errno) when it is not there.
  DirectoryRef find(std::string_view path);
  // Remembers a directory that was just opened or made.
  void remember(const std::string& path, DirectoryRef directory);
  // Must be called when a directory or link was removed: paths may now lead elsewhere.
  void forget_all();

 private:
  DirectoryRef lookup(std::string_view path);
  DirectoryRef open_or_make(std::string_view path, int links_left);
  void make_missing(std::string_view path, int links_left);

  static constexpr size_t kMaxOpen = 256;
  struct Slot {
    std::string path;
    DirectoryRef directory;
  };
  int base_;
  Scope scope_;
  MakeDirectory make_;
  std::list<Slot> recent_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Slot>::iterator> by_path_;  // keys live in the slots
};

}  // namespace gantry::unpack

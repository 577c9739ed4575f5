#include "unpack/directory_cache.h"

#include <fcntl.h>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel follows in one lookup

}  // namespace

DirectoryRef DirectoryCache::lookup(std::string_view path) {
  if (!recent_.empty() && recent_.front().path == path) return recent_.front().directory;
  auto found = by_path_.find(path);
  if (found == by_path_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return recent_.front().directory;
}

void DirectoryCache::remember(const std::string& path, DirectoryRef directory) {
  if (auto found = by_path_.find(path); found != by_path_.end()) {
    found->second->directory = std::move(directory);
    recent_.splice(recent_.begin(), recent_, found->second);
    return;
  }
  recent_.push_front({path, std::move(directory)});
  by_path_.emplace(recent_.front().path, recent_.begin());
  if (recent_.size() > kMaxOpen) {
    by_path_.erase(recent_.back().path);
    recent_.pop_back();
  }
}

void DirectoryCache::forget_all() {
  by_path_.clear();
  recent_.clear();
}

DirectoryRef DirectoryCache::find(std::string_view path) {
  if (DirectoryRef known = lookup(path)) return known;
  std::string text(path.empty() ? std::string_view(".") : path);
  UniqueFd fd(open_in_root(base_, text.c_str(), O_PATH | O_DIRECTORY, scope_));
  if (!fd) return nullptr;
  struct stat st;
  if (fstat(fd.get(), &st) != 0) fail_errno("path", path);
  auto directory = std::make_shared<Directory>(Directory{std::move(fd), (st.st_mode & S_ISGID) != 0});
  remember(std::string(path), directory);
  return directory;
}

DirectoryRef DirectoryCache::open(std::string_view path) { return open_or_make(path, kMaxLinks); }

DirectoryRef DirectoryCache::open_or_make(std::string_view path, int links_left) {
  DirectoryRef found = find(path);
  if (found) return found;
  // ENOTDIR may also be a whiteout of the same layer, which make_ replaces.
  if ((errno != ENOENT && errno != ENOTDIR) || path.empty()) fail_errno("path", path);
  make_missing(path, links_left);
  found = find(path);
  if (!found) fail_errno("path", path);
  return found;
}

void DirectoryCache::make_missing(std::string_view path, int links_left) {
  auto [above, element] = split_path(path);
  DirectoryRef parent = open_or_make(above, links_left);
  std::string name(element);
  struct stat st;
  bool exists = fstatat(parent->fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists || !S_ISLNK(st.st_mode)) {
    make_(*parent, name, std::string(path));
    return;
  }
  // A link to somewhere that does not exist yet: make that place, as mkdir -p through the link would.
  if (links_left == 0) fail_errno("path", path, ELOOP);
  std::string link = read_link(parent->fd.get(), name);
  std::string destination = link.starts_with('/') ? link : std::string(above).append("/").append(link);
  open_or_make(clean_path(destination), links_left - 1);
}

}  // namespace gantry::unpack

#include "unpack/in_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr int kMaxLinks = 255;   // as Go's filepath.EvalSymlinks
constexpr int kMaxDepth = 3000;  // a path has at most 4095 bytes, so at most 2048 elements

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};

uint64_t remove_level(int directory, const std::string& name, std::string_view path, int depth) {
  struct stat st;
  if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return 0;
    fail_errno("remove", path);
  }
  if (!S_ISDIR(st.st_mode)) {
    if (unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) fail_errno("remove", path);
    return S_ISREG(st.st_mode) && st.st_nlink == 1 ? disk_usage(st) : 0;
  }
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) fail_errno("remove", path);
  if (depth > kMaxDepth) fail_errno("remove", path, ELOOP);
  UniqueFd inside(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!inside) fail_errno("remove", path);
  uint64_t freed = 0;
  for (const std::string& child : list_directory(inside.get(), path)) freed += remove_level(inside.get(), child, path, depth + 1);
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0) fail_errno("remove", path);
  return freed;
}

}  // namespace

int open_in_root(int base, const char* path, uint64_t flags, Scope scope) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS | (scope == Scope::kBase ? RESOLVE_IN_ROOT : 0);
  for (int i = 0;; i++) {
    long fd = syscall(SYS_openat2, base, path, &how, sizeof how);
    // A rename somewhere on the way made the kernel give up on a "..": openat2(2).
    if (fd >= 0 || errno != EAGAIN || i == kRaceRetries) return static_cast<int>(fd);
  }
}

std::string clean_path(std::string_view path, bool* escaped) {
  std::string clean;
  clean.reserve(path.size());
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view element = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (element.empty() || element == ".") continue;
    if (element == "..") {
      if (clean.empty() && escaped) *escaped = true;
      size_t last = clean.rfind('/');
      clean.resize(last == std::string::npos ? 0 : last);
      continue;
    }
    if (!clean.empty()) clean += '/';
    clean += element;
  }
  return clean;
}

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {std::string_view(), path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string resolve_path(int root, std::string_view path, bool follow_last) {
  follow_last |= path.ends_with('/') || path.ends_with("/.");
  std::string done;
  std::string rest(path);
  for (int links = 0; !rest.empty();) {
    size_t slash = std::min(rest.find('/'), rest.size());
    std::string element = rest.substr(0, slash);
    rest.erase(0, slash + 1);
    if (element.empty() || element == ".") continue;
    if (element == "..") {
      done = std::string(split_path(done).first);
      continue;
    }
    std::string candidate = done.empty() ? element : done + "/" + element;
    bool is_last = clean_path(rest).empty();
    struct stat st{};
    UniqueFd fd(open_in_root(root, candidate.c_str(), O_PATH | O_NOFOLLOW, Scope::kBase));
    if (!fd && errno != ENOENT && errno != ENOTDIR) fail_errno("path", path);
    if (fd && fstat(fd.get(), &st) != 0) fail_errno("path", path);
    if (!S_ISLNK(st.st_mode) || (is_last && !follow_last)) {
      done = std::move(candidate);
      continue;
    }
    if (++links > kMaxLinks) fail_errno("path", path, ELOOP);
    std::string target = read_link(fd.get(), "");
    if (target.starts_with('/')) done.clear();
    rest = target + "/" + rest;
  }
  return done;
}

std::vector<std::string> list_directory(int directory, std::string_view path) {
  UniqueFd copy(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) fail_errno("list", path);
  std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(copy.get()));
  if (!stream) fail_errno("list", path);
  (void)copy.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno != 0) fail_errno("list", path);
    if (entry == nullptr) return names;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
}

std::string read_link(int directory, const std::string& name) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(directory, name.c_str(), target, sizeof target);
  if (size < 0) fail_errno("path", name);
  return {target, static_cast<size_t>(size)};
}

uint64_t remove_tree(int directory, const std::string& name, std::string_view path) {
  return remove_level(directory, name, path, 0);
}

}  // namespace gantry::unpack

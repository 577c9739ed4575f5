#include "kernel/in_root.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <cstring>

#include "kernel/unique_fd.h"

namespace gantry {
namespace {

// RESOLVE_IN_ROOT answers EAGAIN while anything is renamed on the machine (openat2(2)).
constexpr int kRaceRetries = 128;
// As the kernel's own limit of links in one path.
constexpr int kLinkLimit = 40;

// Puts `link`'s target in place of the component that ends `path[0..end)`; `rest` is what follows it.
bool substitute(char* path, size_t parent_length, const char* target, const char* rest) {
  char joined[PATH_MAX];
  const bool absolute = target[0] == '/';
  const int length = std::snprintf(joined, sizeof(joined), "%.*s/%s%s", absolute ? 0 : static_cast<int>(parent_length),
                                   path, target, rest);
  if (length < 0 || static_cast<size_t>(length) >= sizeof(joined)) return false;
  std::memcpy(path, joined, static_cast<size_t>(length) + 1);
  return true;
}

// What one step of the walk led to.
enum class Step { kOpened, kRestart, kFailed };

struct Walk {
  int root;
  char path[PATH_MAX];
  UniqueFd at;
  int links = 0;
  int error = 0;

  Step fail(int number) {
    error = number;
    return Step::kFailed;
  }

  // Opens or makes the directory `path[0..end)`, whose last component begins at `begin`.
  Step enter(size_t begin, size_t end);
  Step follow_dangling(size_t begin, size_t end, const char* name);
  int run();
};

Step Walk::enter(size_t begin, size_t end) {
  const char saved = path[end];
  path[end] = '\0';
  int fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (fd == -ENOENT) {
    const char* name = path + begin;
    if (mkdirat(at.get(), name, 0755) != 0 && errno != EEXIST) {
      path[end] = saved;
      return fail(errno);
    }
    fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
    if (fd == -ENOENT) {
      char component[NAME_MAX + 1];
      std::snprintf(component, sizeof(component), "%s", name);
      path[end] = saved;
      return follow_dangling(begin, end, component);
    }
  }
  path[end] = saved;
  if (fd < 0) return fail(-fd);
  at.reset(fd);
  return Step::kOpened;
}

Step Walk::follow_dangling(size_t begin, size_t end, const char* name) {
  char target[PATH_MAX];
  const ssize_t length = readlinkat(at.get(), name, target, sizeof(target) - 1);
  if (length < 0) return fail(ENOENT);
  target[length] = '\0';
  if (++links > kLinkLimit) return fail(ELOOP);
  char rest[PATH_MAX];
  std::snprintf(rest, sizeof(rest), "%s", path + end);
  if (!substitute(path, begin == 0 ? 0 : begin - 1, target, rest)) return fail(ENAMETOOLONG);
  return Step::kRestart;
}

int Walk::run() {
  for (;;) {
    at.reset(open_in_root(root, "/", O_PATH | O_DIRECTORY));
    if (!at) return -EBADF;
    Step step = Step::kOpened;
    for (size_t begin = 0; path[begin] != '\0' && step == Step::kOpened;) {
      if (path[begin] == '/') {
        ++begin;
        continue;
      }
      size_t end = begin;
      while (path[end] != '\0' && path[end] != '/') ++end;
      step = enter(begin, end);
      begin = end;
    }
    if (step == Step::kOpened) return at.release();
    if (step == Step::kFailed) return -error;
  }
}

}  // namespace

int open_in_root(int root, const char* path, int flags, mode_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  for (int attempt = 0;; ++attempt) {
    const long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd >= 0) return static_cast<int>(fd);
    if ((errno != EAGAIN && errno != EINTR) || attempt >= kRaceRetries) return -errno;
  }
}

int make_directory_in_root(int root, const char* path) {
  const int existing = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (existing != -ENOENT) return existing;
  Walk walk = {};
  walk.root = root;
  const int length = std::snprintf(walk.path, sizeof(walk.path), "%s", path);
  if (length < 0 || static_cast<size_t>(length) >= sizeof(walk.path)) return -ENAMETOOLONG;
  return walk.run();
}

int make_parent_in_root(int root, const char* path, const char** name) {
  const char* slash = std::strrchr(path, '/');
  *name = slash == nullptr ? path : slash + 1;
  if (**name == '\0' || std::strcmp(*name, ".") == 0 || std::strcmp(*name, "..") == 0) return -EINVAL;
  char parent[PATH_MAX];
  const size_t length = slash == nullptr ? 0 : static_cast<size_t>(slash - path);
  if (length >= sizeof(parent)) return -ENAMETOOLONG;
  std::memcpy(parent, path, length);
  parent[length] = '\0';
  return make_directory_in_root(root, length == 0 ? "/" : parent);
}

int make_file_in_root(int root, const char* path) {
  const int existing = open_in_root(root, path, O_PATH);
  if (existing != -ENOENT) return existing;
  const char* name = nullptr;
  const UniqueFd parent(make_parent_in_root(root, path, &name));
  if (!parent) return -ENOENT;
  // Through openat2, so that a dangling link in the last place makes its target inside the root, as a shell's `>` would.
  const int made = open_in_root(root, path, O_CREAT | O_WRONLY | O_NOCTTY | O_NONBLOCK, 0755);
  if (made < 0) return made;
  ::close(made);
  return open_in_root(root, path, O_PATH);
}

uint64_t filesystem_of(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return 0;
  return static_cast<uint64_t>(info.f_type);
}

bool is_character_device(int fd, unsigned major, unsigned minor) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISCHR(info.st_mode)) return false;
  return info.st_rdev == makedev(major, minor);
}

}  // namespace gantry

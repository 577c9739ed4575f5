#include "kernel/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

// Directories that are open at a time. What lies deeper is moved up first.
constexpr int kMaxDepth = 48;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

class Removal {
 public:
  Removal(const std::string& path, size_t limit) : path_(path), left_(limit) {}

  bool run() {
    // A link to a directory is a file here.
    if (unlink(path_.c_str()) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) throw_errno("unlink", path_);
    const UniqueFd root = open_directory(AT_FDCWD, path_.c_str());
    if (!root) {
      if (errno == ENOENT) return true;
      throw_errno("openat2", path_);
    }
    root_ = root.get();
    if (!clear(root_, 0)) return false;
    if (rmdir(path_.c_str()) != 0 && errno != ENOENT) throw_errno("rmdir", path_);
    return true;
  }

 private:
  static UniqueFd open_directory(int at, const char* name) {
    open_how how = {};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    // The path that we were given may lead over links and mounts; what is below it may not.
    if (at != AT_FDCWD) how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    for (;;) {
      UniqueFd fd(static_cast<int>(syscall(SYS_openat2, at, name, &how, sizeof(how))));
      // Something was renamed meanwhile, somewhere on the machine (openat2(2)).
      if (fd || errno != EAGAIN) return fd;
    }
  }

  // Empties a directory. False when the limit is reached.
  bool clear(int fd, int depth) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw_errno("fcntl", path_);
    const Directory directory(fdopendir(copy));
    if (!directory) {
      close(copy);
      throw_errno("fdopendir", path_);
    }
    // A file system may pass over entries while others are removed: as long as there are some, again.
    for (bool found = true; found;) {
      found = false;
      rewinddir(directory.get());
      for (;;) {
        errno = 0;
        const dirent* entry = readdir(directory.get());
        if (entry == nullptr) {
          if (errno != 0) throw_errno("readdir", path_);
          break;
        }
        if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
        found = true;
        if (left_ == 0) return false;
        left_ -= 1;
        if (!remove_entry(fd, entry->d_name, depth)) return false;
      }
    }
    return true;
  }

  bool remove_entry(int at, const char* name, int depth) {
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) throw_errno("unlinkat", path_, name);
    // Many are empty.
    if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) throw_errno("unlinkat", path_, name);
    if (depth == kMaxDepth) {
      lift(at, name);
      return true;
    }
    const UniqueFd fd = open_directory(at, name);
    if (!fd) {
      if (errno == ENOENT) return true;
      throw_errno("openat2", path_, name);
    }
    if (!clear(fd.get(), depth + 1)) return false;
    if (unlinkat(at, name, AT_REMOVEDIR) != 0 && errno != ENOENT) throw_errno("unlinkat", path_, name);
    return true;
  }

  // Moves a directory to the top, where it is met again.
  void lift(int at, const char* name) {
    for (;;) {
      char lifted[32];
      std::snprintf(lifted, sizeof(lifted), ".lifted-%zu", lifts_++);
      if (renameat2(at, name, root_, lifted, RENAME_NOREPLACE) == 0 || errno == ENOENT) return;
      if (errno != EEXIST) throw_errno("renameat2", path_, name);
    }
  }

  const std::string& path_;
  size_t left_;
  int root_ = -1;
  size_t lifts_ = 0;
};

}  // namespace

bool remove_tree(const std::string& path, size_t limit) { return Removal(path, limit).run(); }

}  // namespace gantry

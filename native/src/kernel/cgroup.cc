#include "kernel/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kernel/unique_fd.h"

namespace gantry {
namespace {

// A container that may make cgroups of its own makes them a few levels deep (an engine or systemd in it).
constexpr int kSignalDepth = 32;

int open_file(const char* directory, const char* file, int flags) {
  char path[PATH_MAX];
  const int length = std::snprintf(path, sizeof(path), "%s/%s", directory, file);
  if (length < 0 || static_cast<size_t>(length) >= sizeof(path)) return -ENAMETOOLONG;
  const int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? -errno : fd;
}

int open_directory(int at, const char* name) {
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

// The directories in a directory, one after the other.
class ChildDirectories {
 public:
  // `directory` is read from its beginning, and stays the caller's.
  explicit ChildDirectories(int directory) : directory_(directory) { lseek(directory, 0, SEEK_SET); }

  // A name that is good until the next call; nullptr at the end, or where the directory has gone.
  const char* next() {
    for (;;) {
      if (at_ >= length_) {
        length_ = syscall(SYS_getdents64, directory_, buffer_, sizeof(buffer_));
        at_ = 0;
        if (length_ <= 0) return nullptr;
      }
      const auto* entry = reinterpret_cast<const dirent64*>(buffer_ + at_);
      at_ += entry->d_reclen;
      if (entry->d_type != DT_DIR) continue;
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) return entry->d_name;
    }
  }

 private:
  int directory_;
  alignas(dirent64) char buffer_[2048];
  long length_ = 0;
  long at_ = 0;
};

// Removes all cgroups below one, deepest first; 0, or the error of the first that stays. Where a directory is left, its
// name is found again in the one above: neither the depth of the tree nor its size costs memory or descriptors.
int remove_below(const char* path) {
  UniqueFd current(open_directory(AT_FDCWD, path));
  if (!current) return errno == ENOENT ? 0 : -errno;
  UniqueFd above;
  char name[NAME_MAX + 1];
  for (int depth = 0;;) {
    ChildDirectories children(current.get());
    if (const char* child = children.next()) {
      std::snprintf(name, sizeof(name), "%s", child);
      above = std::move(current);
      current.reset(open_directory(above.get(), name));
      if (!current) {
        if (errno != ENOENT) return -errno;
        current = std::move(above);
        continue;
      }
      ++depth;
      continue;
    }
    if (depth == 0) return 0;
    if (above) {
      if (unlinkat(above.get(), name, AT_REMOVEDIR) != 0 && errno != ENOENT) return -errno;
    } else {
      above.reset(open_directory(current.get(), ".."));
      if (!above) return -errno;
    }
    current = std::move(above);
    --depth;
  }
}

// Signals the processes that cgroup.procs lists now; how many there were.
int signal_members(int directory, int signal) {
  const UniqueFd file(openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return 0;
  char text[4096];
  int count = 0;
  size_t kept = 0;
  for (;;) {
    const ssize_t length = read(file.get(), text + kept, sizeof(text) - 1 - kept);
    if (length <= 0) return count;
    text[kept + static_cast<size_t>(length)] = '\0';
    char* at = text;
    for (char* end = std::strchr(at, '\n'); end != nullptr; end = std::strchr(at, '\n')) {
      const pid_t pid = static_cast<pid_t>(std::strtol(at, nullptr, 10));
      // 0 stands for a process of another PID namespace; kill(0) would be our own group.
      if (pid > 0 && kill(pid, signal) == 0) ++count;
      at = end + 1;
    }
    kept = std::strlen(at);
    std::memmove(text, at, kept);
  }
}

int signal_tree(int directory, int signal, int depth) {
  int count = signal_members(directory, signal);
  if (depth == kSignalDepth) return count;
  ChildDirectories children(directory);
  while (const char* name = children.next()) {
    const UniqueFd child(open_directory(directory, name));
    if (child) count += signal_tree(child.get(), signal, depth + 1);
  }
  return count;
}

}  // namespace

int make_cgroup(const char* path) {
  if (mkdir(path, 0755) == 0 || errno == EEXIST) return 0;
  return -errno;
}

int remove_cgroup(const char* path) {
  if (rmdir(path) == 0 || errno == ENOENT) return 0;
  // Busy by what is below it: few have that.
  if (errno != EBUSY) return -errno;
  const int removed = remove_below(path);
  if (removed != 0) return removed;
  return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int write_cgroup_file(const char* directory, const char* file, const char* value) {
  const int opened = open_file(directory, file, O_WRONLY);
  if (opened < 0) return opened;
  const UniqueFd fd(opened);
  const size_t length = std::strlen(value);
  if (write(fd.get(), value, length) < 0) return -errno;
  return 0;
}

int enter_cgroup(const char* directory, pid_t pid) {
  char text[16];
  std::snprintf(text, sizeof(text), "%d", pid);
  return write_cgroup_file(directory, "cgroup.procs", text);
}

int signal_cgroup(const char* directory, int signal, int rounds) {
  const UniqueFd top(open_directory(AT_FDCWD, directory));
  if (!top) return 0;
  int count = 0;
  for (int round = 0; round < rounds; ++round) {
    count = signal_tree(top.get(), signal, 0);
    if (count == 0) break;
  }
  return count;
}

int kill_cgroup(const char* directory) { return write_cgroup_file(directory, "cgroup.kill", "1"); }

void thaw_cgroup(const char* directory) {
  if (write_cgroup_file(directory, "freezer.state", "THAWED") != 0) write_cgroup_file(directory, "cgroup.freeze", "0");
}

int64_t read_cgroup_counter(const char* directory, const char* file, const char* key) {
  const UniqueFd fd(open_file(directory, file, O_RDONLY));
  if (!fd) return -1;
  char text[1024];
  const ssize_t length = read(fd.get(), text, sizeof(text) - 1);
  if (length < 0) return -1;
  text[length] = '\0';
  const size_t key_length = std::strlen(key);
  for (const char* line = text; line != nullptr && *line != '\0';) {
    if (std::strncmp(line, key, key_length) == 0 && line[key_length] == ' ') {
      return std::strtoll(line + key_length + 1, nullptr, 10);
    }
    line = std::strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return -1;
}

int attach_device_program(int cgroup, const void* instructions, size_t bytes) {
  bpf_attr load = {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(instructions);
  load.insn_cnt = static_cast<uint32_t>(bytes / sizeof(bpf_insn));
  load.license = reinterpret_cast<uint64_t>("Apache");
  const UniqueFd program(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load))));
  if (!program) return -errno;
  bpf_attr attach = {};
  attach.target_fd = static_cast<uint32_t>(cgroup);
  attach.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0) return -errno;
  return 0;
}

}  // namespace gantry

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace gantry {
namespace {

constexpr size_t kOptionBytes = 4096;

int result(int value) { return value < 0 ? -errno : value; }

}  // namespace

int clone_mount(int directory, const char* path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (recursive) flags |= AT_RECURSIVE;
  if (*path == '\0') flags |= AT_EMPTY_PATH;
  return result(open_tree(directory, path, flags));
}

int attach_mount(int mount, int destination) {
  return result(move_mount(mount, "", destination, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int change_mount(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  mount_attr attributes = {};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  // The three access time modes are one field, which has to be cleared as a whole.
  if (((set | clear) & MOUNT_ATTR__ATIME) != 0) attributes.attr_clr |= MOUNT_ATTR__ATIME;
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  return result(mount_setattr(mount, "", flags, &attributes, sizeof(attributes)));
}

int writable_overlay(int mount, const char* work_dir) {
  struct statfs facts;
  if (fstatfs(mount, &facts) != 0) return -errno;
  if ((static_cast<unsigned long>(facts.f_flags) & ST_RDONLY) == 0) return 0;
  const int work = open(work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (work < 0) return -errno;
  const int made = result(mkdirat(work, "refused", 0700));
  if (made == 0) unlinkat(work, "refused", AT_REMOVEDIR);
  close(work);
  return made < 0 ? made : -EROFS;
}

uint64_t mount_attributes(uint64_t flags) {
  uint64_t attributes = 0;
  if ((flags & MS_RDONLY) != 0) attributes |= MOUNT_ATTR_RDONLY;
  if ((flags & MS_NOSUID) != 0) attributes |= MOUNT_ATTR_NOSUID;
  if ((flags & MS_NODEV) != 0) attributes |= MOUNT_ATTR_NODEV;
  if ((flags & MS_NOEXEC) != 0) attributes |= MOUNT_ATTR_NOEXEC;
  if ((flags & MS_NODIRATIME) != 0) attributes |= MOUNT_ATTR_NODIRATIME;
  if ((flags & MS_NOATIME) != 0) {
    attributes |= MOUNT_ATTR_NOATIME;
  } else if ((flags & MS_STRICTATIME) != 0) {
    attributes |= MOUNT_ATTR_STRICTATIME;
  }
#ifdef MS_NOSYMFOLLOW
  if ((flags & MS_NOSYMFOLLOW) != 0) attributes |= MOUNT_ATTR_NOSYMFOLLOW;
#endif
  return attributes;
}

int NewFilesystem::open(const char* type) {
  const int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return -errno;
  context_.reset(context);
  return 0;
}

int NewFilesystem::set(const char* key, const char* value) {
  const unsigned command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
  return result(fsconfig(context_.get(), command, key, value, 0));
}

int NewFilesystem::set_directory(const char* key, const char* path) {
  // The kernel copies at most 256 bytes of an option's text.
  if (strlen(path) < 256) return set(key, path);
  const UniqueFd directory(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return -errno;
  return result(fsconfig(context_.get(), FSCONFIG_SET_FD, key, nullptr, directory.get()));
}

int NewFilesystem::set_all(const char* options) {
  char copy[kOptionBytes];
  const size_t length = strlen(options);
  if (length >= sizeof(copy)) return -E2BIG;
  memcpy(copy, options, length + 1);
  for (char* at = copy; *at != '\0';) {
    char* end = at;
    for (bool quoted = false; *end != '\0' && (quoted || *end != ','); ++end) {
      if (*end == '"') quoted = !quoted;
    }
    char* next = *end == '\0' ? end : end + 1;
    *end = '\0';
    if (*at != '\0') {
      char* equals = strchr(at, '=');
      if (equals != nullptr) *equals = '\0';
      const int failed = set(at, equals == nullptr ? nullptr : equals + 1);
      if (failed < 0) return failed;
    }
    at = next;
  }
  return 0;
}

int NewFilesystem::create(uint64_t attributes) {
  if (fsconfig(context_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return -errno;
  return result(fsmount(context_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
}

const char* NewFilesystem::complaint() {
  complaint_[0] = '\0';
  for (;;) {
    const ssize_t length = read(context_.get(), complaint_, sizeof(complaint_) - 1);
    if (length <= 0) break;
    complaint_[length] = '\0';
  }
  char* end = strchr(complaint_, '\n');
  if (end != nullptr) *end = '\0';
  // "e overlay: ..." : level letter and space come first.
  return complaint_[0] != '\0' && complaint_[1] == ' ' ? complaint_ + 2 : complaint_;
}

}  // namespace gantry

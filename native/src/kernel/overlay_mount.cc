#include "kernel/overlay_mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/mount.h"
#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

constexpr const char* kStep = "mount overlay";

int configure(int context, unsigned command, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, context, command, key, value, 0));
}

void set_string(int context, const char* key, const std::string& value) {
  if (configure(context, FSCONFIG_SET_STRING, key, value.c_str()) != 0) throw_errno("fsconfig", value, kStep);
}

// `lowerdir` splits at colons and unescapes backslashes.
std::string escape_lower(const std::string& path) {
  std::string escaped;
  for (const char letter : path) {
    if (letter == ':' || letter == '\\' || letter == ',') escaped += '\\';
    escaped += letter;
  }
  return escaped;
}

// False: the kernel says that it knows no `lowerdir+`.
bool set_lowers(int context, const std::vector<std::string>& lowers) {
  for (size_t i = 0; i < lowers.size(); ++i) {
    if (configure(context, FSCONFIG_SET_STRING, "lowerdir+", lowers[i].c_str()) == 0) continue;
    if (i > 0 || errno != EINVAL) throw_errno("fsconfig", lowers[i], kStep);
    return false;
  }
  return true;
}

void set_joined_lowers(int context, const std::vector<std::string>& lowers) {
  std::string joined;
  for (const auto& lower : lowers) {
    if (!joined.empty()) joined += ':';
    joined += escape_lower(lower);
  }
  set_string(context, "lowerdir", joined);
}

void set_option(int context, const std::string& option) {
  const size_t equals = option.find('=');
  if (equals != std::string::npos) {
    set_string(context, option.substr(0, equals).c_str(), option.substr(equals + 1));
  } else if (configure(context, FSCONFIG_SET_FLAG, option.c_str(), nullptr) != 0) {
    throw_errno("fsconfig", option, kStep);
  }
}

enum class Lowers { kOneByOne, kJoined };

// A context that only has to be mounted; empty: the kernel does not know `lowerdir+`.
UniqueFd create_overlay(const OverlayMount& overlay, Lowers lowers) {
  UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) throw_errno("fsopen", "overlay", kStep);
  if (lowers == Lowers::kJoined) {
    set_joined_lowers(context.get(), overlay.lower_dirs);
  } else if (!set_lowers(context.get(), overlay.lower_dirs)) {
    return UniqueFd();
  }
  if (!overlay.upper_dir.empty()) {
    set_string(context.get(), "upperdir", overlay.upper_dir);
    set_string(context.get(), "workdir", overlay.work_dir);
  }
  for (const auto& option : overlay.options) set_option(context.get(), option);
  if (configure(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) == 0) return context;
  // Before 6.5 options are taken unread, and only the creation finds them wrong.
  if (lowers == Lowers::kOneByOne && errno == EINVAL) return UniqueFd();
  throw_errno("fsconfig", overlay.target, kStep);
}

}  // namespace

void mount_overlay(const OverlayMount& overlay) {
  UniqueFd context = create_overlay(overlay, Lowers::kOneByOne);
  if (!context) context = create_overlay(overlay, Lowers::kJoined);
  const unsigned attributes = overlay.upper_dir.empty() ? MOUNT_ATTR_RDONLY : 0;
  const UniqueFd mount(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
  if (!mount) throw_errno("fsmount", overlay.target, kStep);
  const int refused = overlay.upper_dir.empty() ? 0 : writable_overlay(mount.get(), overlay.work_dir.c_str());
  if (refused < 0) throw SyscallError(-refused, "mkdir", overlay.work_dir, kStep);
  if (syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, overlay.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    throw_errno("move_mount", overlay.target, kStep);
  }
}

}  // namespace gantry

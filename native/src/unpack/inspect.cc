#include "unpack/inspect.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>

#include "unpack/failure.h"
#include "unpack/in_root.h"
#include "unpack/report.h"

namespace gantry::unpack {
namespace {

// As the Docker API numbers them.
enum class Change { kModified = 0, kAdded = 1, kDeleted = 2 };

// Go's filepath.Base: "/a/b/" is "b", "/a/." is ".", "/" is "/".
std::string base_name(std::string_view path) {
  size_t end = path.find_last_not_of('/');
  if (end == std::string_view::npos) return "/";
  path = path.substr(0, end + 1);
  return std::string(path.substr(path.rfind('/') + 1));
}

class ChangeWalk {
 public:
  explicit ChangeWalk(int lower) : lower_(lower) {}

  void walk(int directory, const std::string& path, bool opaque) {
    std::vector<std::string> names = list_directory(directory, path);
    // What an opaque directory no longer shows.
    if (opaque) add_hidden(path, names);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) visit(directory, name, path.empty() ? name : path + "/" + name);
  }

  std::string finish() {
    return lines_ + JsonLine().flag("ok", true).number("changes", static_cast<int64_t>(count_)).finish();
  }

 private:
  void visit(int directory, const std::string& name, const std::string& path) {
    struct stat st;
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return;
      fail_errno("stat", path);
    }
    struct stat below;
    bool existed = stat_lower(path, below);
    if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
      if (existed) add(path, Change::kDeleted);
      return;
    }
    if (!S_ISDIR(st.st_mode)) return add(path, existed ? Change::kModified : Change::kAdded);

    UniqueFd inside(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inside) fail_errno("open", path);
    bool was_directory = existed && S_ISDIR(below.st_mode);
    // A directory is copied up as soon as anything in it changes: told before its children, and taken back if it
    // turns out that nothing did.
    size_t before = lines_.size();
    add(path, existed ? Change::kModified : Change::kAdded);
    size_t after = lines_.size();
    walk(inside.get(), path, was_directory && is_opaque(inside.get()));
    bool same = was_directory && st.st_mode == below.st_mode && st.st_uid == below.st_uid && st.st_gid == below.st_gid &&
                st.st_mtim.tv_sec == below.st_mtim.tv_sec && st.st_mtim.tv_nsec == below.st_mtim.tv_nsec;
    if (same && lines_.size() == after) {
      lines_.resize(before);
      count_--;
    }
  }

  void add_hidden(const std::string& path, const std::vector<std::string>& still_there) {
    UniqueFd below(open_in_root(lower_, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, Scope::kBase));
    if (!below) return;
    std::vector<std::string> names = list_directory(below.get(), path);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (std::find(still_there.begin(), still_there.end(), name) == still_there.end()) add(path + "/" + name, Change::kDeleted);
    }
  }

  bool stat_lower(const std::string& path, struct stat& st) {
    UniqueFd fd(open_in_root(lower_, path.c_str(), O_PATH | O_NOFOLLOW, Scope::kBase));
    if (!fd && (errno == ENOENT || errno == ENOTDIR)) return false;
    if (!fd || fstat(fd.get(), &st) != 0) fail_errno("stat", path);
    return true;
  }

  static bool is_opaque(int fd) {
    char value = 0;
    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
  }

  void add(const std::string& path, Change change) {
    lines_ += JsonLine().text("path", "/" + path).number("kind", static_cast<int64_t>(change)).finish();
    count_++;
  }

  int lower_;
  std::string lines_;
  size_t count_ = 0;
};

// Links without end count here for the target, where they did not for the path.
std::string link_target_of(const Sandbox& sandbox, const std::string& path) {
  try {
    return "/" + resolve_path(sandbox.root.get(), path, true);
  } catch (Failure& failure) {
    if (failure.error == ELOOP) failure.step = "link target";
    throw;
  }
}

}  // namespace

std::string stat_path(const Sandbox& sandbox, const Options& options) {
  UniqueFd target(open_in_root(sandbox.root.get(), options.path.c_str(), O_PATH | O_NOFOLLOW, Scope::kBase));
  struct stat st;
  if (!target || fstat(target.get(), &st) != 0) fail_errno("path", options.path);
  std::string link_target;
  if (S_ISLNK(st.st_mode)) link_target = link_target_of(sandbox, options.path);
  return JsonLine()
      .flag("ok", true)
      .text("name", base_name(options.path))
      .number("size", st.st_size)
      .number("mode", st.st_mode)
      .number("uid", st.st_uid)
      .number("gid", st.st_gid)
      .number("mtimeSeconds", st.st_mtim.tv_sec)
      .number("mtimeNanoseconds", st.st_mtim.tv_nsec)
      .text("linkTarget", link_target)
      .text("resolved", "/" + resolve_path(sandbox.root.get(), options.path, true))
      .finish();
}

std::string list_changes(const Sandbox& sandbox) {
  ChangeWalk walk(sandbox.lowers.front().get());
  UniqueFd top(openat(sandbox.root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) fail_errno("open", "/");
  walk.walk(top.get(), "", false);
  return walk.finish();
}

}  // namespace gantry::unpack

#include "unpack/packer.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "kernel/unique_fd.h"
#include "unpack/failure.h"
#include "unpack/in_root.h"
#include "unpack/metadata.h"

namespace gantry::unpack {
namespace {

constexpr uint32_t kWhiteoutMode = 0600;

// Cuts of the compressed stream: before the content of large files; and before entries that their names choose, so that
// two archives that differ in a file have equal cuts again behind it.
constexpr uint64_t kLargeFile = 1 << 20;
constexpr size_t kLeastBlock = 256 << 10;
constexpr uint32_t kEntriesPerCut = 4;

bool is_chosen(std::string_view name) {
  uint32_t hash = 2166136261;  // FNV-1a
  for (char letter : name) hash = (hash ^ static_cast<uint8_t>(letter)) * 16777619;
  // The low bits alone depend on little.
  return (hash >> 16) % kEntriesPerCut == 0;
}

using Xattrs = std::vector<std::pair<std::string, std::string>>;

bool is_packed_xattr(std::string_view name) {
  if (is_engine_xattr(name)) return false;
  // Other security attributes (labels, measurements) are this host's, not the image's.
  return name == "security.capability" || name.starts_with("user.") || name.starts_with("trusted.") ||
         name.starts_with("system.posix_acl_");
}

TarEntry describe(const struct stat& st, EntryType type, const std::string& archive_name) {
  TarEntry entry;
  entry.name = archive_name;
  entry.type = type;
  entry.mode = st.st_mode & 07777;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime = {st.st_mtim.tv_sec, static_cast<uint32_t>(st.st_mtim.tv_nsec)};
  return entry;
}

// The root's own name ends with its slash.
std::string as_directory(const std::string& name) { return name.ends_with('/') ? name : name + "/"; }

std::string join(const std::string& above, const std::string& name) { return above.empty() ? name : as_directory(above) + name; }

}  // namespace

struct Packer::Attributes {
  Xattrs packed;
  bool opaque = false;
};

PackTotals Packer::run(int root, const Options& options) {
  UniqueFd target(open_in_root(root, options.path.c_str(), O_PATH | (options.follow ? 0 : O_NOFOLLOW), Scope::kBase));
  struct stat st;
  if (!target || fstat(target.get(), &st) != 0) fail_errno("path", options.path);
  std::string archive_name = options.name.value_or(std::string(split_path(clean_path(options.path)).second));
  if (S_ISDIR(st.st_mode)) {
    UniqueFd top(open_in_root(target.get(), ".", O_RDONLY | O_DIRECTORY, Scope::kProcessRoot));
    if (!top) fail_errno("path", options.path);
    if (options.name) pack_open_directory(top.get(), archive_name, st);
    else pack_children(top.get(), "");
  } else {
    // By its name in its directory, since links and pipes cannot be opened.
    std::string resolved = resolve_path(root, options.path, options.follow);
    auto [above, name] = split_path(resolved);
    std::string parent_path(above.empty() ? std::string_view(".") : above);
    UniqueFd parent(open_in_root(root, parent_path.c_str(), O_PATH | O_DIRECTORY, Scope::kBase));
    if (!parent) fail_errno("path", options.path);
    pack(parent.get(), std::string(name), archive_name);
  }
  writer_.end();
  output_.finish();
  return totals_;
}

void Packer::write_header(TarEntry& entry) {
  if (is_chosen(entry.name)) output_.may_cut(kLeastBlock);
  writer_.header(entry);
  totals_.entries++;
}

void Packer::pack(int directory, const std::string& name, const std::string& archive_name) {
  struct stat st;
  if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;  // removed since its directory was read
    fail_errno("stat", archive_name);
  }
  if (S_ISDIR(st.st_mode)) return pack_directory(directory, name, archive_name);
  if (S_ISSOCK(st.st_mode)) return;  // tar has no such thing
  if (overlay_upper_ && S_ISCHR(st.st_mode) && st.st_rdev == 0) return pack_whiteout(archive_name, st);
  if (pack_hardlink(archive_name, st)) return;
  if (S_ISREG(st.st_mode)) pack_file(directory, name, archive_name);
  else pack_node(directory, name, archive_name, st);
}

void Packer::pack_children(int directory, const std::string& archive_name) {
  std::vector<std::string> names = list_directory(directory, archive_name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) pack(directory, name, join(archive_name, name));
}

void Packer::pack_directory(int directory, const std::string& name, const std::string& archive_name) {
  UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return;
  struct stat st;
  if (!fd || fstat(fd.get(), &st) != 0) fail_errno("open", archive_name);
  pack_open_directory(fd.get(), archive_name, st);
}

void Packer::pack_open_directory(int fd, const std::string& archive_name, const struct stat& st) {
  TarEntry entry = describe(st, EntryType::kDirectory, as_directory(archive_name));
  Attributes attributes = attributes_of(fd, archive_name);
  entry.xattrs = std::move(attributes.packed);
  write_header(entry);
  if (attributes.opaque) {
    TarEntry whiteout = describe(st, EntryType::kRegular, join(archive_name, ".wh..wh..opq"));
    whiteout.mode = kWhiteoutMode;
    write_header(whiteout);
  }
  pack_children(fd, archive_name);
}

void Packer::pack_whiteout(const std::string& archive_name, const struct stat& st) {
  auto [above, name] = split_path(archive_name);
  TarEntry entry = describe(st, EntryType::kRegular, join(std::string(above), std::string(".wh.").append(name)));
  entry.mode = kWhiteoutMode;
  write_header(entry);
}

// True when another name of the same file was packed before.
bool Packer::pack_hardlink(const std::string& archive_name, const struct stat& st) {
  if (st.st_nlink < 2) return false;
  auto [first, is_new] = links_.try_emplace({st.st_dev, st.st_ino}, archive_name);
  if (is_new) return false;
  TarEntry entry = describe(st, EntryType::kHardlink, archive_name);
  entry.link_name = first->second;
  write_header(entry);
  return true;
}

void Packer::pack_file(int directory, const std::string& name, const std::string& archive_name) {
  // Not to wait for a writer, should a pipe have taken the file's place.
  UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ELOOP)) return;
  struct stat st;
  if (!fd || fstat(fd.get(), &st) != 0) fail_errno("open", archive_name);
  if (!S_ISREG(st.st_mode)) return;
  TarEntry entry = describe(st, EntryType::kRegular, archive_name);
  entry.data_size = entry.file_size = static_cast<uint64_t>(st.st_size);
  entry.xattrs = attributes_of(fd.get(), archive_name).packed;
  write_header(entry);
  write_contents(fd.get(), entry.data_size, archive_name);
}

void Packer::write_contents(int fd, uint64_t size, const std::string& archive_name) {
  if (size >= kLargeFile) output_.may_cut(1);
  uint64_t left = size;
  while (left > 0) {
    std::span<uint8_t> space = output_.space();
    ssize_t n = read(fd, space.data(), static_cast<size_t>(std::min<uint64_t>(space.size(), left)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read", archive_name);
    if (n == 0) {
      totals_.changed++;
      output_.write_zeros(left);
      break;
    }
    output_.commit(static_cast<size_t>(n));
    left -= static_cast<uint64_t>(n);
  }
  writer_.pad(size);
}

void Packer::pack_node(int directory, const std::string& name, const std::string& archive_name, const struct stat& st) {
  EntryType type = S_ISLNK(st.st_mode)   ? EntryType::kSymlink
                   : S_ISCHR(st.st_mode) ? EntryType::kCharDevice
                   : S_ISBLK(st.st_mode) ? EntryType::kBlockDevice
                                         : EntryType::kFifo;
  TarEntry entry = describe(st, type, archive_name);
  if (type == EntryType::kSymlink) entry.link_name = read_link(directory, name);
  if (type == EntryType::kCharDevice || type == EntryType::kBlockDevice) {
    entry.device_major = major(st.st_rdev);
    entry.device_minor = minor(st.st_rdev);
  }
  // The l*xattr calls have no form relative to a directory; see set_xattrs().
  if (fchdir(directory) != 0) fail_errno("xattr", archive_name);
  entry.xattrs = read_attributes(
                     archive_name, [&](char* list, size_t size) { return llistxattr(name.c_str(), list, size); },
                     [&](const char* key, char* value, size_t size) { return lgetxattr(name.c_str(), key, value, size); })
                     .packed;
  write_header(entry);
}

template <typename ReadList, typename ReadValue>
Packer::Attributes Packer::read_attributes(const std::string& archive_name, ReadList read_list, ReadValue read_value) {
  Attributes attributes;
  ssize_t size = read_list(xattr_buffer_.get(), kMaxXattrSize);
  if (size < 0 && errno != ENOTSUP && errno != ENOENT) fail_errno("xattr", archive_name);
  if (size <= 0) return attributes;
  std::string names(xattr_buffer_.get(), static_cast<size_t>(size));
  for (size_t at = 0; at < names.size(); at += names.find('\0', at) - at + 1) {
    std::string name = names.c_str() + at;
    // The upper directory says less than the layer would have to: a rename or a metadata-only copy.
    if (overlay_upper_ && (name == "trusted.overlay.redirect" || name == "trusted.overlay.metacopy"))
      fail("overlay", archive_name, "layer uses " + name + ", which an archive cannot express");
    bool is_opaque = overlay_upper_ && name == "trusted.overlay.opaque";
    if (!is_opaque && !is_packed_xattr(name)) continue;
    ssize_t length = read_value(name.c_str(), xattr_buffer_.get(), kMaxXattrSize);
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) fail_errno("xattr", archive_name);
    std::string value(xattr_buffer_.get(), static_cast<size_t>(length));
    if (is_opaque) attributes.opaque = value == "y";
    else attributes.packed.emplace_back(std::move(name), std::move(value));
  }
  std::sort(attributes.packed.begin(), attributes.packed.end());
  return attributes;
}

Packer::Attributes Packer::attributes_of(int fd, const std::string& archive_name) {
  return read_attributes(
      archive_name, [fd](char* list, size_t size) { return flistxattr(fd, list, size); },
      [fd](const char* key, char* value, size_t size) { return fgetxattr(fd, key, value, size); });
}

}  // namespace gantry::unpack

#include "unpack/extractor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr uint64_t kDiskBlock = 4096;
constexpr uint64_t kInlineSymlink = 60;              // ext4 keeps shorter targets in the inode
constexpr uint64_t kMaxNamesBytes = 128 << 20;       // of memory for the directories' names
constexpr size_t kMaxPath = 4095;
constexpr uint32_t kSetIdBits = S_ISUID | S_ISGID;

bool is_whiteout_node(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

void write_all(int fd, std::span<const uint8_t> bytes, std::string_view path) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("write", path);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void write_all_at(int fd, std::span<const uint8_t> bytes, uint64_t offset, std::string_view path) {
  while (!bytes.empty()) {
    ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("write", path);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

std::string quoted(std::string_view text) { return std::string("\"").append(text).append("\""); }

}  // namespace

Extractor::Extractor(int base, ExtractRules rules, std::vector<int> lowers)
    : base_(base),
      rules_(std::move(rules)),
      lowers_(std::move(lowers)),
      directories_(base, rules_.layer ? Scope::kBase : Scope::kProcessRoot,
                   [this](const Directory& parent, const std::string& name, const std::string& path) {
                     make_parent(parent, name, path);
                   }),
      // Files of a container may have ACLs already.
      always_set_mode_(!rules_.layer) {}

ExtractTotals Extractor::run(TarReader& reader) {
  while (const TarEntry* entry = reader.next()) {
    count_entry();
    write_entry(reader, *entry);
  }
  inherit();
  write_times();
  return totals_;
}

void Extractor::count_entry() {
  totals_.entries++;
  if (rules_.max_entries != 0 && totals_.entries > rules_.max_entries)
    fail("limit", "", "archive has more than " + std::to_string(rules_.max_entries) + " entries");
}

Owner Extractor::owner_of(const TarEntry& entry) const {
  return rules_.chown ? *rules_.chown : Owner{entry.uid, entry.gid};
}

void Extractor::write_entry(TarReader& reader, const TarEntry& entry) {
  if (entry.name.size() > kMaxPath) fail_errno("path", entry.name, ENAMETOOLONG);
  bool escaped = false;
  std::string path = clean_path(entry.name, &escaped);
  if (escaped && !rules_.layer) fail("path", entry.name, quoted(entry.name) + " is outside of " + quoted(rules_.destination));
  if (path.empty()) return write_top(entry);
  auto [above, element] = split_path(path);
  if (rules_.layer && element.starts_with(kWhiteoutPrefix) && write_whiteout(path, entry)) return;

  DirectoryRef parent = directories_.open(above);
  std::string name(element);
  switch (entry.type) {
    case EntryType::kDirectory: return write_directory(*parent, name, path, entry);
    case EntryType::kRegular: return write_file(reader, *parent, name, entry);
    case EntryType::kHardlink: return write_hardlink(*parent, name, entry);
    case EntryType::kSymlink: return write_symlink(*parent, name, entry);
    case EntryType::kCharDevice:
    case EntryType::kBlockDevice:
    case EntryType::kFifo: return write_node(*parent, name, entry);
  }
}

// The archive's description of the directory that it is unpacked into ("./").
void Extractor::write_top(const TarEntry& entry) {
  // A copy leaves that directory as it is, whatever the archive says that it is.
  if (!rules_.layer) return;
  if (entry.type != EntryType::kDirectory) fail_errno("create", entry.name, EEXIST);
  UniqueFd fd(openat(base_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail_errno("mkdir", entry.name);
  Place place{.fd = fd.get(), .path = entry.name};
  Owner owner = owner_of(entry);
  set_owner(place, owner.uid, owner.gid);
  set_mode(place, entry.mode);
  set_xattrs(place, entry, true);
  directories_.forget_all();
  totals_.top = true;
  remember_time("", entry.mtime);
}

Extractor::Before Extractor::clear_place(const Directory& parent, const std::string& name, const TarEntry& entry) {
  struct stat st;
  if (fstatat(parent.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Before::kNothing;
    fail_errno("create", entry.name);
  }
  bool is_directory = S_ISDIR(st.st_mode);
  bool to_be_directory = entry.type == EntryType::kDirectory;
  if (rules_.no_overwrite_dir_non_dir && is_directory != to_be_directory) {
    std::string target = rules_.destination + (rules_.destination.ends_with('/') ? "" : "/") + clean_path(entry.name);
    fail("create", entry.name,
         is_directory ? "cannot overwrite directory " + quoted(target) + " with non-directory " + quoted(rules_.destination)
                      : "cannot overwrite non-directory " + quoted(target) + " with directory " + quoted(rules_.destination));
  }
  if (is_directory && to_be_directory) return Before::kDirectory;
  uint64_t freed = remove_tree(parent.fd.get(), name, entry.name);
  totals_.disk_bytes -= std::min(freed, totals_.disk_bytes);
  if (is_directory || S_ISLNK(st.st_mode)) directories_.forget_all();
  return Before::kReplaced;
}

// Another copy into a running container may give the same name to a file of its own between any two steps.
template <typename Make>
void Extractor::make_in_place(const Directory& parent, const std::string& name, const TarEntry& entry, const char* step,
                              Make make) {
  for (int i = 0; !make(); i++) {
    if (errno != EEXIST || i == kRaceRetries) fail_errno(step, entry.name);
    clear_place(parent, name, entry);
  }
}

void Extractor::write_directory(const Directory& parent, const std::string& name, const std::string& path,
                                const TarEntry& entry) {
  bool made = mkdirat(parent.fd.get(), name.c_str(), entry.mode) == 0;
  if (!made && errno != EEXIST) fail_errno("mkdir", entry.name);
  bool replaced = false;
  if (!made) {
    replaced = clear_place(parent, name, entry) == Before::kReplaced;
    made = mkdirat(parent.fd.get(), name.c_str(), entry.mode) == 0;
    if (!made && errno != EEXIST) fail_errno("mkdir", entry.name);
  }
  UniqueFd fd(openat(parent.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) fail_errno("mkdir", entry.name);
  Place place{.fd = fd.get(), .path = entry.name};
  Owner owner = owner_of(entry);
  if (!made || parent.set_group_id || owner.uid != 0 || owner.gid != 0) set_owner(place, owner.uid, owner.gid);
  // mkdir(2) ignores the set-id bits, and hands the group's down.
  if (!made || parent.set_group_id || (entry.mode & kSetIdBits) || always_set_mode_) set_mode(place, entry.mode);
  set_xattrs(place, entry, rules_.layer);
  // What had this name in the same layer (a whiteout, say) took the lower layers' directory away, so this is a new one.
  if (replaced && rules_.layer) set_opaque(fd.get(), ".", entry.name);
  for (const auto& xattr : entry.xattrs) always_set_mode_ |= xattr.first == "system.posix_acl_default";
  if (!made) inherit_not(fd.get(), path);
  remember_time(path, entry.mtime);
  directories_.remember(path, std::make_shared<Directory>(Directory{std::move(fd), (entry.mode & S_ISGID) != 0}));
}

void Extractor::write_file(TarReader& reader, const Directory& parent, const std::string& name, const TarEntry& entry) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  uint32_t mode = entry.mode & 0777;
  UniqueFd fd;
  make_in_place(parent, name, entry, "create", [&] {
    fd = UniqueFd(openat(parent.fd.get(), name.c_str(), kFlags, mode));
    return static_cast<bool>(fd);
  });
  write_contents(reader, fd.get(), entry);
  finish_metadata(Place{.fd = fd.get(), .path = entry.name}, parent, entry);
}

void Extractor::write_contents(TarReader& reader, int fd, const TarEntry& entry) {
  if (!entry.sparse) {
    for (auto piece = reader.read_data(); !piece.empty(); piece = reader.read_data()) write_all(fd, piece, entry.name);
    totals_.disk_bytes += (entry.file_size + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
    return;
  }
  std::span<const uint8_t> piece;
  for (SparseRun run : entry.runs) {
    while (run.length > 0) {
      if (piece.empty()) piece = reader.read_data();
      size_t size = static_cast<size_t>(std::min<uint64_t>(piece.size(), run.length));
      write_all_at(fd, piece.first(size), run.offset, entry.name);
      piece = piece.subspan(size);
      run.offset += size;
      run.length -= size;
    }
  }
  if (ftruncate(fd, static_cast<off_t>(entry.file_size)) != 0) fail_errno("write", entry.name);
  struct stat st;
  if (fstat(fd, &st) != 0) fail_errno("write", entry.name);
  totals_.disk_bytes += disk_usage(st);
}

void Extractor::finish_metadata(const Place& place, const Directory& parent, const TarEntry& entry) {
  Owner owner = owner_of(entry);
  if (owner.uid != 0 || owner.gid != 0 || parent.set_group_id || !rules_.layer) set_owner(place, owner.uid, owner.gid);
  // After chown(2), which takes the set-id bits away.
  if (entry.type != EntryType::kSymlink && ((entry.mode & 07000) || always_set_mode_)) set_mode(place, entry.mode);
  // After the last write and chown, which would take file capabilities away.
  set_xattrs(place, entry, rules_.layer);
  set_mtime(place, entry.mtime);
}

void Extractor::write_hardlink(const Directory& parent, const std::string& name, const TarEntry& entry) {
  bool escaped = false;
  std::string target = clean_path(entry.link_name, &escaped);
  if (escaped && !rules_.layer)
    fail("path", entry.name, "invalid hardlink " + quoted(entry.name) + " -> " + quoted(entry.link_name));
  auto [above, element] = split_path(target);
  DirectoryRef from = directories_.find(above);
  if (!from || target.empty()) fail_errno("link", entry.name, from ? EPERM : errno);
  std::string from_name(element);
  make_in_place(parent, name, entry, "link", [&] {
    if (linkat(from->fd.get(), from_name.c_str(), parent.fd.get(), name.c_str(), 0) == 0) return true;
    if (errno != EEXIST) return false;
    struct stat existing;
    struct stat wanted;
    // A link to itself, or one that is there already.
    const bool is_there = fstatat(parent.fd.get(), name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
                          fstatat(from->fd.get(), from_name.c_str(), &wanted, AT_SYMLINK_NOFOLLOW) == 0 &&
                          existing.st_dev == wanted.st_dev && existing.st_ino == wanted.st_ino;
    errno = EEXIST;
    return is_there;
  });
}

void Extractor::write_symlink(const Directory& parent, const std::string& name, const TarEntry& entry) {
  if (entry.link_name.size() > kMaxPath) fail_errno("symlink", entry.name, ENAMETOOLONG);
  make_in_place(parent, name, entry, "symlink",
                [&] { return symlinkat(entry.link_name.c_str(), parent.fd.get(), name.c_str()) == 0; });
  if (entry.link_name.size() >= kInlineSymlink) totals_.disk_bytes += kDiskBlock;
  finish_metadata(Place{.directory = parent.fd.get(), .name = name.c_str(), .path = entry.name}, parent, entry);
}

void Extractor::write_node(const Directory& parent, const std::string& name, const TarEntry& entry) {
  mode_t type = entry.type == EntryType::kFifo ? S_IFIFO : entry.type == EntryType::kCharDevice ? S_IFCHR : S_IFBLK;
  dev_t device = entry.type == EntryType::kFifo ? 0 : makedev(entry.device_major, entry.device_minor);
  make_in_place(parent, name, entry, "mknod",
                [&] { return mknodat(parent.fd.get(), name.c_str(), type | (entry.mode & 0777), device) == 0; });
  finish_metadata(Place{.directory = parent.fd.get(), .name = name.c_str(), .path = entry.name}, parent, entry);
}

void Extractor::set_opaque(int directory, const std::string& name, std::string_view path) {
  UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || fsetxattr(fd.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) fail_errno("whiteout", path);
}

// ".wh.<name>" says that the lower layers' <name> is gone, ".wh..wh..opq" that all of the directory is
// (image-spec layer.md, "Whiteouts"). Both speak of lower layers only, never of what this layer has.
bool Extractor::write_whiteout(const std::string& path, const TarEntry& entry) {
  auto [above, element] = split_path(path);
  if (element == kOpaqueName) {
    DirectoryRef directory = directories_.open(above);
    set_opaque(directory->fd.get(), ".", path);
    return true;
  }
  // Other names of that kind are AUFS' own bookkeeping, of no meaning here.
  if (element.starts_with(kWhiteoutMetaPrefix)) return true;
  std::string name(element.substr(kWhiteoutPrefix.size()));
  if (name.empty() || name == "." || name == "..") fail("whiteout", path, "invalid whiteout " + quoted(path));
  DirectoryRef parent = directories_.open(above);
  if (mknodat(parent->fd.get(), name.c_str(), S_IFCHR, 0) == 0) {
    Place place{.directory = parent->fd.get(), .name = name.c_str(), .path = path};
    if (entry.uid != 0 || entry.gid != 0) set_owner(place, entry.uid, entry.gid);
    set_mtime(place, entry.mtime);
    return true;
  }
  if (errno != EEXIST) fail_errno("whiteout", path);
  struct stat st;
  if (fstatat(parent->fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("whiteout", path);
  // This layer has something of that name itself, which hides the lower ones'; a directory must be told to.
  if (S_ISDIR(st.st_mode)) set_opaque(parent->fd.get(), name, path);
  return true;
}

void Extractor::make_parent(const Directory& parent, const std::string& name, const std::string& path) {
  count_entry();
  bool was_whiteout = false;
  if (mkdirat(parent.fd.get(), name.c_str(), 0755) != 0) {
    struct stat st;
    if (errno != EEXIST || fstatat(parent.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
      fail_errno("mkdir", path);
    if (S_ISDIR(st.st_mode)) return;  // a running container was quicker
    was_whiteout = rules_.layer && is_whiteout_node(st);
    if (!was_whiteout) fail_errno("mkdir", path, ENOTDIR);
    if (unlinkat(parent.fd.get(), name.c_str(), 0) != 0 || mkdirat(parent.fd.get(), name.c_str(), 0755) != 0)
      fail_errno("mkdir", path);
  }
  if (was_whiteout) set_opaque(parent.fd.get(), name, path);
  UniqueFd fd(openat(parent.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) fail_errno("mkdir", path);
  Place place{.fd = fd.get(), .path = path};
  if (parent.set_group_id) {
    set_owner(place, 0, 0);
    set_mode(place, 0755);
  }
  if (!was_whiteout && !lowers_.empty()) inherit_later(fd.get(), path);
}

void Extractor::inherit_later(int fd, const std::string& path) {
  struct stat st;
  if (fstat(fd, &st) != 0) fail_errno("mkdir", path);
  count_name(path);
  inherited_.insert_or_assign(st.st_ino, path);
}

void Extractor::inherit_not(int fd, const std::string& path) {
  if (inherited_.empty()) return;
  struct stat st;
  if (fstat(fd, &st) != 0) fail_errno("mkdir", path);
  inherited_.erase(st.st_ino);
}

// After the last entry: until then the lower layers may be unpacked at the same time.
void Extractor::inherit() {
  if (inherited_.empty()) return;
  if (rules_.await_lowers) rules_.await_lowers();
  for (const auto& [inode, path] : inherited_) {
    UniqueFd fd(open_in_root(base_, path.c_str(), O_RDONLY | O_NOFOLLOW | O_DIRECTORY, Scope::kBase));
    // A later entry has put something else in its place.
    if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) continue;
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) fail_errno("mkdir", path);
    if (st.st_ino == inode) copy_lower_metadata(fd.get(), path);
  }
}

void Extractor::copy_lower_metadata(int fd, const std::string& path) {
  for (int lower : lowers_) {
    UniqueFd below(open_in_root(lower, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_DIRECTORY, Scope::kBase));
    if (!below && (errno == ENOENT || errno == ELOOP)) continue;
    // Not a directory there: a file or whiteout, which ends what lower layers have of it.
    if (!below && errno == ENOTDIR) return;
    struct stat st;
    if (!below || fstat(below.get(), &st) != 0) fail_errno("mkdir", path);
    Place place{.fd = fd, .path = path};
    set_owner(place, st.st_uid, st.st_gid);
    set_mode(place, st.st_mode & 07777);
    remember_time(path, {st.st_mtim.tv_sec, static_cast<uint32_t>(st.st_mtim.tv_nsec)});
    return;
  }
}

void Extractor::remember_time(const std::string& path, Timestamp mtime) {
  count_name(path);
  times_.push_back({path, mtime});
}

void Extractor::count_name(const std::string& path) {
  names_bytes_ += sizeof(DirectoryTime) + path.size();
  if (names_bytes_ > kMaxNamesBytes) fail("limit", "", "archive has too many directories");
}

// Last of all, since writing into a directory changes its time.
void Extractor::write_times() {
  for (const DirectoryTime& directory : times_) {
    const char* path = directory.path.empty() ? "." : directory.path.c_str();
    struct stat st;
    // A later entry may have put something else in its place.
    if (fstatat(base_, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) continue;
    totals_.disk_bytes += disk_usage(st);
    set_mtime(Place{.directory = base_, .name = path, .path = directory.path}, directory.mtime);
  }
}

}  // namespace gantry::unpack

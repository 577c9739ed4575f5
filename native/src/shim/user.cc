#include "shim/user.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "kernel/in_root.h"
#include "kernel/unique_fd.h"

namespace gantry::shim {
namespace {

constexpr off_t kFileBytesMax = 10 * 1024 * 1024;
constexpr size_t kLineBytesMax = 64 * 1024;
constexpr uint32_t kIdMax = 2147483647;

// A file of the image, line by line. The image's owner may have put anything there: a FIFO, a device, a gigabyte.
class Lines {
 public:
  // 0 when it can be read, -ENOENT when there is none, else why not.
  int open(int root, const char* path);
  bool next(std::string_view& line);

 private:
  bool fill();

  UniqueFd file_;
  size_t begin_ = 0;
  size_t end_ = 0;
  off_t total_ = 0;
  bool ended_ = false;
  // What comes next is the rest of a line that did not fit.
  bool passing_over_ = false;
  char buffer_[kLineBytesMax];
};

int Lines::open(int root, const char* path) {
  // Looked at before it is opened for reading: opening a device may already do something.
  const int found = open_in_root(root, path, O_PATH);
  if (found < 0) return found;
  const UniqueFd look(found);
  struct stat seen;
  if (fstat(look.get(), &seen) != 0) return -errno;
  if (!S_ISREG(seen.st_mode)) return -EINVAL;
  if (seen.st_size > kFileBytesMax) return -EFBIG;
  const int opened = open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (opened < 0) return opened;
  file_.reset(opened);
  struct stat info;
  if (fstat(opened, &info) != 0) return -errno;
  // Changed between the two: only somebody who shares the file system and means harm does that.
  if (info.st_ino != seen.st_ino || info.st_dev != seen.st_dev) return -EINVAL;
  return 0;
}

bool Lines::fill() {
  if (ended_ || total_ >= kFileBytesMax) return false;
  if (begin_ > 0) {
    std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == sizeof(buffer_)) {
    // A line longer than any real one: it is passed over, not believed in part.
    end_ = 0;
    passing_over_ = true;
  }
  const ssize_t length = read(file_.get(), buffer_ + end_, sizeof(buffer_) - end_);
  if (length <= 0) {
    ended_ = true;
    return false;
  }
  total_ += length;
  end_ += static_cast<size_t>(length);
  return true;
}

bool Lines::next(std::string_view& line) {
  for (;;) {
    const void* newline = std::memchr(buffer_ + begin_, '\n', end_ - begin_);
    if (newline != nullptr) {
      const size_t length = static_cast<size_t>(static_cast<const char*>(newline) - buffer_) - begin_;
      line = std::string_view(buffer_ + begin_, length);
      begin_ += length + 1;
      if (std::exchange(passing_over_, false)) continue;
      return true;
    }
    if (fill()) continue;
    if (begin_ == end_ || passing_over_) return false;
    line = std::string_view(buffer_ + begin_, end_ - begin_);
    begin_ = end_;
    return true;
  }
}

// Takes the text up to the next ':' off the line.
std::string_view cut_field(std::string_view& line) {
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  line = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  return field;
}

// A name or a number of the user string.
struct Wanted {
  std::string_view text;
  uint32_t id = 0;
  bool is_number = false;
  bool in_range = false;

  explicit Wanted(std::string_view from) : text(from) {
    in_range = parse_id(from.data(), from.size(), id, is_number);
  }
  bool matches(std::string_view name, uint32_t entry_id) const {
    return is_number ? in_range && entry_id == id : name == text;
  }
};

constexpr const char* kRangeText = "uids and gids must be in range 0-2147483647";

struct PasswdEntry {
  std::string_view name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string_view home;
};

bool parse_passwd(std::string_view line, PasswdEntry& entry) {
  entry.name = cut_field(line);
  cut_field(line);
  const std::string_view uid = cut_field(line);
  const std::string_view gid = cut_field(line);
  cut_field(line);
  entry.home = cut_field(line);
  bool number = false;
  return !entry.name.empty() && entry.name[0] != '#' && parse_id(uid.data(), uid.size(), entry.uid, number) &&
         parse_id(gid.data(), gid.size(), entry.gid, number);
}

struct GroupEntry {
  std::string_view name;
  uint32_t gid = 0;
  std::string_view members;
};

bool parse_group(std::string_view line, GroupEntry& entry) {
  entry.name = cut_field(line);
  cut_field(line);
  const std::string_view gid = cut_field(line);
  entry.members = line;
  bool number = false;
  return !entry.name.empty() && entry.name[0] != '#' && parse_id(gid.data(), gid.size(), entry.gid, number);
}

bool lists(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    const size_t comma = members.find(',');
    if (members.substr(0, comma) == name) return true;
    if (comma == std::string_view::npos) break;
    members.remove_prefix(comma + 1);
  }
  return false;
}

bool add_group(User& user, gid_t gid, Failure& failure) {
  for (size_t i = 0; i < user.group_count; ++i) {
    if (user.groups[i] == gid) return true;
  }
  if (user.group_count == kGroupsMax) return failure.say("user", E2BIG, "too many supplementary groups");
  user.groups[user.group_count++] = gid;
  return true;
}

// State of one resolution. Big on the stack of a process that is about to exec.
struct Resolution {
  int root;
  User& user;
  Failure& failure;
  // Name of the matched passwd entry, empty when there is none.
  char name[256] = {};

  bool find_user(std::string_view wanted_text);
  bool find_groups(std::string_view wanted_text);
  bool find_additional(const std::string& text);
  bool unreadable(const char* what, std::string_view of, int error);
};

bool Resolution::unreadable(const char* what, std::string_view of, int error) {
  return failure.say("user", -error, "unable to find %s %.*s: %s", what, static_cast<int>(of.size()), of.data(),
                     error_text(-error));
}

bool Resolution::find_user(std::string_view wanted_text) {
  const Wanted wanted(wanted_text.empty() ? std::string_view("0") : wanted_text);
  if (wanted.is_number && !wanted.in_range) return failure.say("user", EINVAL, "%s", kRangeText);
  Lines lines;
  const int opened = lines.open(root, "/etc/passwd");
  // A number needs no file, but a file that is no file is never passed over in silence.
  if (opened < 0 && opened != -ENOENT) return unreadable("user", wanted.text, opened);
  std::string_view line;
  PasswdEntry entry;
  while (opened == 0 && lines.next(line)) {
    if (!parse_passwd(line, entry) || !wanted.matches(entry.name, entry.uid)) continue;
    user.uid = entry.uid;
    user.gid = entry.gid;
    std::snprintf(name, sizeof(name), "%.*s", static_cast<int>(entry.name.size()), entry.name.data());
    if (!entry.home.empty()) {
      std::snprintf(user.home, sizeof(user.home), "%.*s", static_cast<int>(entry.home.size()), entry.home.data());
    }
    return true;
  }
  if (!wanted.is_number) {
    return failure.say("user", 0, "unable to find user %.*s: no matching entries in passwd file",
                       static_cast<int>(wanted.text.size()), wanted.text.data());
  }
  user.uid = wanted.id;
  return true;
}

bool Resolution::find_groups(std::string_view wanted_text) {
  if (wanted_text.empty() && name[0] == '\0') return add_group(user, user.gid, failure);
  const Wanted wanted(wanted_text);
  const bool explicit_group = !wanted_text.empty();
  if (explicit_group && wanted.is_number && !wanted.in_range) return failure.say("user", EINVAL, "%s", kRangeText);
  if (!explicit_group && !add_group(user, user.gid, failure)) return false;
  Lines lines;
  const int opened = lines.open(root, "/etc/group");
  if (opened < 0 && opened != -ENOENT) return unreadable("groups for spec", name, opened);
  std::string_view line;
  GroupEntry entry;
  while (opened == 0 && lines.next(line)) {
    if (!parse_group(line, entry)) continue;
    if (!explicit_group) {
      if (lists(entry.members, name) && !add_group(user, entry.gid, failure)) return false;
    } else if (wanted.matches(entry.name, entry.gid)) {
      user.gid = entry.gid;
      return add_group(user, user.gid, failure);
    }
  }
  if (!explicit_group) return true;
  if (!wanted.is_number) {
    return failure.say("user", 0, "unable to find group %.*s: no matching entries in group file",
                       static_cast<int>(wanted.text.size()), wanted.text.data());
  }
  user.gid = wanted.id;
  return add_group(user, user.gid, failure);
}

bool Resolution::find_additional(const std::string& text) {
  const Wanted wanted(text);
  if (wanted.is_number) {
    if (!wanted.in_range) return failure.say("user", EINVAL, "%s", kRangeText);
    return add_group(user, wanted.id, failure);
  }
  Lines lines;
  const int opened = lines.open(root, "/etc/group");
  if (opened < 0 && opened != -ENOENT) return unreadable("group", text, opened);
  std::string_view line;
  GroupEntry entry;
  while (opened == 0 && lines.next(line)) {
    if (parse_group(line, entry) && entry.name == wanted.text) return add_group(user, entry.gid, failure);
  }
  return failure.say("user", 0, "unable to find group %s: no matching entries in group file", text.c_str());
}

}  // namespace

bool parse_id(const char* text, size_t length, uint32_t& id, bool& is_number) {
  is_number = length > 0;
  uint64_t value = 0;
  const size_t begin = length > 1 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  bool in_range = begin == 0;
  for (size_t i = begin; i < length; ++i) {
    if (text[i] < '0' || text[i] > '9') {
      is_number = false;
      return false;
    }
    if (value <= kIdMax) value = value * 10 + static_cast<uint64_t>(text[i] - '0');
  }
  if (value > kIdMax) in_range = false;
  if (!is_number || !in_range) return false;
  id = static_cast<uint32_t>(value);
  return true;
}

bool resolve_user(int root, const char* spec, const std::vector<std::string>& additional_groups, User& user,
                  Failure& failure) {
  const std::string_view text(spec);
  const size_t colon = text.find(':');
  const std::string_view group = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  Resolution resolution{.root = root, .user = user, .failure = failure};
  if (!resolution.find_user(text.substr(0, colon))) return failure.about(text);
  if (!resolution.find_groups(group)) return failure.about(text);
  for (const auto& further : additional_groups) {
    if (!resolution.find_additional(further)) return failure.about(further);
  }
  return true;
}

}  // namespace gantry::shim

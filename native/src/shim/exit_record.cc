#include "shim/exit_record.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "kernel/unique_fd.h"
#include "shim/json_text.h"
#include "shim/loop.h"

namespace gantry::shim {
namespace {

// Size of the file that the brain reserves before a launch, all blanks.
constexpr size_t kReservedBytes = 512;

std::string to_hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Digits of a time in nanoseconds, until the year 2286.
constexpr size_t kTimeDigits = 19;

// Without the closing brace; the time is the last value. Numbers that do not fit those of JavaScript are texts.
std::string to_json(const RunIdentity& run) {
  std::string text = "{\"id\":";
  append_json_string(text, run.id);
  text += ",\"nonce\":\"" + to_hex(run.nonce) + "\"";
  char rest[128];
  std::snprintf(rest, sizeof(rest), ",\"pid\":%d,\"pidStartTicks\":\"%" PRIu64 "\",\"startedNano\":\"%0*" PRId64 "\"",
                run.pid, run.start_ticks, static_cast<int>(kTimeDigits), run.started_nano);
  return text + rest;
}

std::string to_json(const ExitRecord& record) {
  char rest[256];
  std::snprintf(rest, sizeof(rest),
                ",\"exitCode\":%d,\"signal\":%d,\"oomKilled\":%s,\"timeNano\":\"%" PRId64 "\",\"seq\":%" PRIu64 "}\n",
                record.status.exit_code, record.status.signal, record.oom_killed ? "true" : "false", record.time_nano,
                record.seq);
  return to_json(record.run) + rest;
}

int write_synced(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return -errno;
  const ssize_t written = write(file.get(), text.data(), text.size());
  if (written < 0) return -errno;
  if (static_cast<size_t>(written) != text.size()) return -ENOSPC;
  return fsync(file.get()) != 0 ? -errno : 0;
}

// The file that the brain reserved, or negative errno.
int open_reserved(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return -errno;
  struct stat info;
  if (fstat(file.get(), &info) != 0) return -errno;
  if (!S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(kReservedBytes)) return -ENOENT;
  return file.release();
}

// One block that is on disk already, so this needs no journal and no space. A sector is written whole or not at all.
int fill(int file, std::string text) {
  if (text.size() > kReservedBytes) return -EFBIG;
  text.resize(kReservedBytes, ' ');
  const ssize_t written = pwrite(file, text.data(), text.size(), 0);
  if (written < 0) return -errno;
  return static_cast<size_t>(written) == text.size() ? 0 : -EIO;
}

int write_in_place(const std::string& path, const std::string& text) {
  const int opened = open_reserved(path);
  if (opened < 0) return opened;
  const UniqueFd file(opened);
  const int error = fill(opened, text);
  if (error < 0) return error;
  return fdatasync(opened) != 0 ? -errno : 0;
}

}  // namespace

int write_exit_record(const std::string& path, const ExitRecord& record) {
  const std::string text = to_json(record);
  if (write_in_place(path, text) == 0) return 0;
  const std::string temporary = path + ".tmp";
  const int error = write_synced(temporary, text);
  if (error < 0) {
    unlink(temporary.c_str());
    return error;
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return -errno;
  const UniqueFd directory(open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return -errno;
  return fsync(directory.get()) != 0 ? -errno : 0;
}

void StartRecord::open(const std::string& path) {
  const int opened = path.empty() ? -1 : open_reserved(path);
  if (opened >= 0) file_.reset(opened);
}

void StartRecord::write(const RunIdentity& run) {
  if (!file_) return;
  const std::string text = to_json(run);
  // The process writes the time with write(2), which every seccomp profile allows, at this position.
  const auto at = static_cast<off_t>(text.size() - kTimeDigits - 1);
  if (fill(file_.get(), text + "}\n") < 0 || lseek(file_.get(), at, SEEK_SET) != at) file_.reset();
}

void StartRecord::blank() {
  if (file_) fill(file_.get(), {});
}

void write_start_time(int fd) {
  if (fd < 0) return;
  char digits[kTimeDigits];
  int64_t rest = realtime_ns();
  for (size_t i = kTimeDigits; i-- > 0; rest /= 10) digits[i] = static_cast<char>('0' + rest % 10);
  ssize_t written = 0;
  do {
    written = ::write(fd, digits, sizeof(digits));
  } while (written < 0 && errno == EINTR);
}

}  // namespace gantry::shim

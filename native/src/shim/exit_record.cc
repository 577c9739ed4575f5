#include "shim/exit_record.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "kernel/unique_fd.h"
#include "shim/json_text.h"

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

std::string to_json(const ExitRecord& record) {
  std::string text = "{\"id\":";
  append_json_string(text, record.id);
  text += ",\"nonce\":\"" + to_hex(record.nonce) + "\"";
  char rest[256];
  // Nanoseconds as text: they do not fit the numbers of JavaScript.
  std::snprintf(rest, sizeof(rest),
                ",\"pid\":%d,\"exitCode\":%d,\"signal\":%d,\"oomKilled\":%s,\"timeNano\":\"%" PRId64
                "\",\"seq\":%" PRIu64 "}\n",
                record.pid, record.status.exit_code, record.status.signal, record.oom_killed ? "true" : "false",
                record.time_nano, record.seq);
  return text + rest;
}

int write_synced(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return -errno;
  const ssize_t written = write(file.get(), text.data(), text.size());
  if (written < 0) return -errno;
  if (static_cast<size_t>(written) != text.size()) return -ENOSPC;
  return fsync(file.get()) != 0 ? -errno : 0;
}

// Fills the place that the brain reserved: one block that is on disk already, so this needs no journal and no space. A
// sector is written whole or not at all.
int write_in_place(const std::string& path, std::string text) {
  if (text.size() > kReservedBytes) return -EFBIG;
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return -errno;
  struct stat info;
  if (fstat(file.get(), &info) != 0) return -errno;
  if (!S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(kReservedBytes)) return -ENOENT;
  text.resize(kReservedBytes, ' ');
  const ssize_t written = pwrite(file.get(), text.data(), text.size(), 0);
  if (written < 0) return -errno;
  if (static_cast<size_t>(written) != text.size()) return -EIO;
  return fdatasync(file.get()) != 0 ? -errno : 0;
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

}  // namespace gantry::shim

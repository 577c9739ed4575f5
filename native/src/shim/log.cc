#include "shim/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "kernel/namespace.h"
#include "shim/gzip.h"
#include "shim/json_text.h"
#include "shim/loop.h"

namespace gantry::shim {
namespace {

// Where Docker cuts a line.
constexpr size_t kLineBytes = 16 * 1024;
// Records are gathered up to this before a write.
constexpr size_t kFlushBytes = 64 * 1024;

const char* stream_name(int stream) { return stream == 2 ? "stderr" : "stdout"; }

}  // namespace

Log::Log(LogPlan plan) : plan_(std::move(plan)) {}

bool Log::open(Failure& failure) {
  if (plan_.driver == "none" || plan_.path.empty()) return true;
  const int error = reopen();
  return error == 0 || failure.set("log", -error, plan_.path);
}

int Log::reopen() {
  if (plan_.driver == "none" || plan_.path.empty()) return 0;
  const int fd = ::open(plan_.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return -errno;
  file_.reset(fd);
  struct stat info;
  size_ = fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
  enabled_ = true;
  return 0;
}

void Log::add_time(int64_t time) {
  const int64_t second = time / 1000000000;
  if (second != formatted_second_) {
    formatted_second_ = second;
    const auto seconds = static_cast<time_t>(second);
    tm parts = {};
    gmtime_r(&seconds, &parts);
    strftime(second_text_, sizeof(second_text_), "%Y-%m-%dT%H:%M:%S", &parts);
  }
  char fraction[16];
  int length = std::snprintf(fraction, sizeof(fraction), ".%09d", static_cast<int>(time % 1000000000));
  while (length > 1 && fraction[length - 1] == '0') --length;
  if (length == 1) length = 0;
  records_ += second_text_;
  records_.append(fraction, static_cast<size_t>(length));
  records_ += 'Z';
}

void Log::add_record(int stream, std::string_view text, bool newline, int64_t time) {
  const size_t begin = records_.size();
  records_ += "{\"log\":";
  append_json_string(records_, text);
  if (newline) {
    records_.pop_back();
    records_ += "\\n\"";
  }
  records_ += ",\"stream\":\"";
  records_ += stream_name(stream);
  records_ += '"';
  if (!plan_.attrs_json.empty()) {
    records_ += ",\"attrs\":";
    records_ += plan_.attrs_json;
  }
  records_ += ",\"time\":\"";
  add_time(time);
  records_ += "\"}\n";
  const uint64_t limit = plan_.max_size_bytes;
  if (limit > 0 && size_ + records_.size() > limit && size_ + begin > 0) {
    const std::string last = records_.substr(begin);
    records_.resize(begin);
    flush();
    rotate();
    records_ = last;
  }
  if (records_.size() >= kFlushBytes) flush();
}

// One whole line without its newline; its beginning may wait in the partial.
void Log::add_line(int stream, std::string_view head, int64_t now) {
  Partial& partial = partials_[stream - 1];
  const int64_t time = partial.since != 0 ? partial.since : now;
  if (partial.text.empty()) {
    add_record(stream, head, true, time);
  } else {
    partial.text += head;
    add_record(stream, partial.text, true, time);
    partial.text.clear();
  }
  partial.since = 0;
}

void Log::append(int stream, std::string_view data) {
  if (!enabled_) return;
  Partial& partial = partials_[stream - 1];
  const int64_t now = realtime_ns();
  while (!data.empty()) {
    const size_t room = kLineBytes - partial.text.size();
    const std::string_view window = data.substr(0, room);
    const size_t newline = window.find('\n');
    if (newline != std::string_view::npos) {
      add_line(stream, window.substr(0, newline), now);
      data.remove_prefix(newline + 1);
      continue;
    }
    if (window.size() < room) {
      partial.text += window;
      break;
    }
    if (partial.since == 0) partial.since = now;
    partial.text += window;
    add_record(stream, partial.text, false, partial.since);
    partial.text.clear();
    data.remove_prefix(room);
  }
  // A prompt holds a few bytes; a cut line's buffer is given back.
  if (partial.text.empty() && partial.text.capacity() > 256) partial.text = std::string();
  flush();
}

void Log::end(int stream) {
  Partial& partial = partials_[stream - 1];
  if (!enabled_ || partial.text.empty()) return;
  add_record(stream, partial.text, false, partial.since != 0 ? partial.since : realtime_ns());
  partial = {};
  flush();
}

void Log::flush() {
  size_t done = 0;
  while (done < records_.size()) {
    const ssize_t written = write(file_.get(), records_.data() + done, records_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  if (done < records_.size()) {
    // A full disk: what did not fit is dropped by whole records, so that the file stays readable.
    const size_t whole = records_.rfind('\n', done == 0 ? 0 : done - 1);
    const size_t kept = done == 0 || whole == std::string::npos ? 0 : whole + 1;
    struct stat info;
    if (kept < done && fstat(file_.get(), &info) == 0) {
      const auto end = info.st_size - static_cast<off_t>(done - kept);
      if (ftruncate(file_.get(), end) != 0) enabled_ = false;
    }
    done = kept;
  }
  size_ += done;
  records_.clear();
  if (records_.capacity() > kFlushBytes / 4) records_ = std::string();
}

std::string Log::numbered(uint32_t index, bool compressed) const {
  std::string path = plan_.path;
  path += '.';
  path += std::to_string(index);
  if (compressed) path += ".gz";
  return path;
}

void Log::shift_files() {
  for (uint32_t index = plan_.max_files - 1; index > 1; --index) {
    for (const bool compressed : {false, true}) {
      const std::string older = numbered(index, compressed);
      // Both forms of the place are taken: one may be left from before compression was turned on or off.
      unlink(numbered(index, !compressed).c_str());
      if (rename(numbered(index - 1, compressed).c_str(), older.c_str()) == 0) break;
    }
  }
}

void Log::rotate() {
  // The compressor reads path.1; renaming it away under its hands would leave two files of one content.
  if (compressor_ != 0) return;
  if (plan_.max_files < 2) {
    if (ftruncate(file_.get(), 0) == 0) size_ = 0;
    return;
  }
  shift_files();
  const std::string previous = numbered(1, false);
  unlink(numbered(1, true).c_str());
  if (rename(plan_.path.c_str(), previous.c_str()) != 0) return;
  if (reopen() != 0) return;
  if (plan_.compress) compress(previous);
}

void Log::compress(const std::string& path) {
  const std::string target = path + ".gz";
  const pid_t pid = clone_process({});
  if (pid > 0) compressor_ = pid;
  if (pid != 0) return;
  const bool done = gzip_file(path.c_str(), target.c_str());
  if (done) unlink(path.c_str());
  _exit(done ? 0 : 1);
}

void Log::reaped(pid_t pid) {
  if (pid == compressor_) compressor_ = 0;
}

}  // namespace gantry::shim

// The container's log file: Docker's json-file format, rotation, and lines cut at 16 KiB.
//
//   {"log":"text\n","stream":"stdout","attrs":{...},"time":"2026-01-01T00:00:00.123456789Z"}\n
//
// A line longer than 16 KiB becomes several records without a newline, the last one with it. Output that ends without
// a newline has none in its last record either. A record is in the file whole or not at all, also when the disk is full.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"
#include "shim/plan.h"

namespace gantry::shim {

class Log {
 public:
  explicit Log(LogPlan plan);

  // Opens the file, which is made (mode 0640) where missing. True at once with driver `none`.
  bool open(Failure& failure);

  // Takes output of stream 1 (stdout) or 2 (stderr) and writes the records that it completes.
  void append(int stream, std::string_view data);

  // Writes what is left of a last line.
  void end(int stream);

  // Opens the path again, after somebody moved the file. 0 or negative errno.
  int reopen();

  // PID of the process that compresses a rotated file, 0 when there is none; `reaped` ends it.
  pid_t compressor() const { return compressor_; }
  void reaped(pid_t pid);

 private:
  struct Partial {
    std::string text;
    // Time of a cut line's first piece, 0 when no piece was written yet: all pieces carry it.
    int64_t since = 0;
  };

  void add_record(int stream, std::string_view text, bool newline, int64_t time);
  void add_line(int stream, std::string_view head, int64_t now);
  void add_time(int64_t time);
  void flush();
  void rotate();
  void shift_files();
  void compress(const std::string& path);
  std::string numbered(uint32_t index, bool compressed) const;

  LogPlan plan_;
  UniqueFd file_;
  uint64_t size_ = 0;
  bool enabled_ = false;
  Partial partials_[2];
  std::string records_;
  // Text of the second that was formatted last.
  int64_t formatted_second_ = -1;
  char second_text_[24] = {};
  pid_t compressor_ = 0;
};

}  // namespace gantry::shim

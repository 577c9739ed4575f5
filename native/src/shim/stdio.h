// The standard streams of one process: its output goes to the log and to attached clients, their input to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/unique_fd.h"
#include "shim/loop.h"

namespace gantry::shim {

class Log;
class StreamClient;

// The shim's ends; with a terminal `output[0]` and `input` are its master.
struct ShimStreams {
  UniqueFd input;
  UniqueFd output[2];
  // Slave of the terminal, held so that its hang-up means the end and not a moment without a reader.
  UniqueFd slave;
  bool terminal = false;
};

class Stdio {
 public:
  // `log` may be null. `close_input_with_client`: standard input ends with the client that feeds it (StdinOnce, exec),
  // unless it is a terminal.
  Stdio(Loop& loop, Log* log, bool close_input_with_client);
  ~Stdio();
  Stdio(const Stdio&) = delete;
  Stdio& operator=(const Stdio&) = delete;

  // Begins to read and write. Clients may be attached before; what they send waits.
  void open(ShimStreams streams);

  // Says that `open` will bring a terminal: its size may be set before.
  void expect_terminal() { terminal_ = true; }

  bool is_terminal() const { return terminal_; }
  bool takes_input() const { return !input_closed_; }
  int resize(uint32_t rows, uint32_t columns);
  // The size that came before the terminal; 0 when none did.
  uint32_t early_rows() const { return early_rows_; }
  uint32_t early_columns() const { return early_columns_; }

  // Ends standard input after what was already given; false for a terminal.
  bool close_input();

  // The process has ended: reads what is left and ends all clients when they have it. Safe to call twice.
  void finish();

  // Writes text to all clients as if the process had printed it.
  void print(int stream, std::string_view text);

  // Clients. They are owned by the stream server and leave before they go.
  void attach(StreamClient* client);
  void leave(StreamClient* client);
  bool has_clients() const { return !clients_.empty(); }

  // From a client: input bytes (only while `input_has_room`), and its end.
  void write_input(std::string_view bytes);
  bool input_has_room() const { return pending_input_.empty(); }
  void client_ended_input(StreamClient* client);

  // From a client: it has too much unsent output, or no longer.
  void update_pause();

 private:
  // One of the output descriptors.
  class Source : public Watch {
   public:
    void ready(uint32_t events) override;
    Stdio* owner = nullptr;
    UniqueFd fd;
    int stream = 1;
    bool watched = false;
  };
  // The input descriptor, watched only while bytes wait.
  class Sink : public Watch {
   public:
    void ready(uint32_t events) override;
    Stdio* owner = nullptr;
    bool watched = false;
  };

  bool read_once(Source& source);
  void deliver(int stream, std::string_view data);
  void watch_source(Source& source, bool on);
  void end_source(Source& source);
  void flush_input();
  void drop_input();

  Loop& loop_;
  Log* log_;
  bool close_input_with_client_;
  bool terminal_ = false;
  bool paused_ = false;
  bool finished_ = false;
  // After what is pending, input ends; it has ended, or never was.
  bool input_ends_ = false;
  bool input_closed_ = false;
  // A size that was set before the terminal was there.
  uint32_t early_rows_ = 0;
  uint32_t early_columns_ = 0;
  Source sources_[2];
  Sink sink_;
  UniqueFd input_fd_;
  UniqueFd slave_;
  std::string pending_input_;
  std::vector<StreamClient*> clients_;
};

}  // namespace gantry::shim

#include "shim/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "shim/console.h"
#include "shim/log.h"
#include "shim/stream_client.h"

namespace gantry::shim {
namespace {

// A process that has ended left at most a pipe full; an orphan that goes on writing is not waited for.
constexpr size_t kDrainBytesMax = 4 << 20;

void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

Stdio::Stdio(Loop& loop, Log* log, bool close_input_with_client)
    : loop_(loop), log_(log), close_input_with_client_(close_input_with_client) {
  sink_.owner = this;
  for (int i = 0; i < 2; ++i) {
    sources_[i].owner = this;
    sources_[i].stream = i + 1;
  }
}

Stdio::~Stdio() {
  for (auto& source : sources_) end_source(source);
  drop_input();
  while (!clients_.empty()) clients_.back()->abandon();
}

void Stdio::open(ShimStreams streams) {
  terminal_ = streams.terminal;
  slave_ = std::move(streams.slave);
  for (int i = 0; i < 2; ++i) {
    if (!streams.output[i]) continue;
    sources_[i].fd = std::move(streams.output[i]);
    set_nonblocking(sources_[i].fd.get());
    watch_source(sources_[i], !paused_);
  }
  if (terminal_ && early_rows_ + early_columns_ > 0) resize(early_rows_, early_columns_);
  if (!streams.input) return drop_input();
  input_fd_ = std::move(streams.input);
  set_nonblocking(input_fd_.get());
  flush_input();
}

int Stdio::resize(uint32_t rows, uint32_t columns) {
  if (!terminal_) return -ENOTTY;
  if (!sources_[0].fd) {
    early_rows_ = rows;
    early_columns_ = columns;
    return 0;
  }
  return resize_terminal(sources_[0].fd.get(), rows, columns);
}

void Stdio::watch_source(Source& source, bool on) {
  if (!source.fd || source.watched == on) return;
  // Taken out altogether while paused: a hang-up is reported even with no events asked for.
  if (on) {
    loop_.add(source.fd.get(), EPOLLIN, &source);
  } else {
    loop_.remove(source.fd.get(), &source);
  }
  source.watched = on;
}

void Stdio::end_source(Source& source) {
  if (!source.fd) return;
  watch_source(source, false);
  source.fd.reset();
  if (log_ != nullptr) log_->end(source.stream);
}

void Stdio::Source::ready(uint32_t) { owner->read_once(*this); }

// Reads once; false when there is nothing more (for now, or at all).
bool Stdio::read_once(Source& source) {
  const std::span<char> buffer = loop_.scratch();
  const ssize_t length = read(source.fd.get(), buffer.data(), buffer.size());
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  // EIO is a terminal's way to say that nobody has its other end open.
  if (length <= 0) {
    end_source(source);
    return false;
  }
  deliver(source.stream, {buffer.data(), static_cast<size_t>(length)});
  return true;
}

void Stdio::deliver(int stream, std::string_view data) {
  if (log_ != nullptr) log_->append(stream, data);
  // By index: a client that fails leaves the list while it is walked.
  for (size_t i = 0; i < clients_.size();) {
    StreamClient* client = clients_[i];
    client->send(stream, data);
    if (i < clients_.size() && clients_[i] == client) ++i;
  }
  update_pause();
}

void Stdio::print(int stream, std::string_view text) { deliver(stream, text); }

void Stdio::update_pause() {
  bool pause = false;
  for (const StreamClient* client : clients_) pause = pause || client->is_congested();
  if (pause == paused_) return;
  paused_ = pause;
  for (auto& source : sources_) watch_source(source, !paused_);
}

void Stdio::finish() {
  if (finished_) return;
  finished_ = true;
  for (auto& source : sources_) {
    size_t budget = kDrainBytesMax / loop_.scratch().size();
    while (source.fd && budget-- > 0 && read_once(source)) {
    }
    end_source(source);
  }
  drop_input();
  slave_.reset();
  for (size_t i = 0; i < clients_.size();) {
    StreamClient* client = clients_[i];
    client->end();
    if (i < clients_.size() && clients_[i] == client) ++i;
  }
}

void Stdio::attach(StreamClient* client) { clients_.push_back(client); }

void Stdio::leave(StreamClient* client) {
  std::erase(clients_, client);
  update_pause();
}

void Stdio::write_input(std::string_view bytes) {
  if (input_closed_ || input_ends_) return;
  pending_input_ += bytes;
  flush_input();
}

bool Stdio::close_input() {
  if (terminal_) return false;
  input_ends_ = true;
  flush_input();
  return true;
}

void Stdio::client_ended_input(StreamClient* client) {
  if (terminal_ || !close_input_with_client_) {
    // As Docker does: the session is over, the container's input stays as it is.
    client->end();
    return;
  }
  close_input();
}

void Stdio::flush_input() {
  if (!input_fd_) return;
  while (!pending_input_.empty()) {
    const ssize_t written = write(input_fd_.get(), pending_input_.data(), pending_input_.size());
    if (written > 0) {
      pending_input_.erase(0, static_cast<size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) break;
    // Nobody reads it any more.
    drop_input();
    return;
  }
  const bool waiting = !pending_input_.empty();
  if (waiting != sink_.watched) {
    if (waiting) {
      loop_.add(input_fd_.get(), EPOLLOUT, &sink_);
    } else {
      loop_.remove(input_fd_.get(), &sink_);
    }
    sink_.watched = waiting;
  }
  if (waiting) return;
  pending_input_ = std::string();
  if (input_ends_) drop_input();
  for (StreamClient* client : clients_) client->update_interest();
}

void Stdio::drop_input() {
  if (sink_.watched) loop_.remove(input_fd_.get(), &sink_);
  sink_.watched = false;
  input_closed_ = true;
  input_fd_.reset();
  pending_input_ = std::string();
  for (StreamClient* client : clients_) client->update_interest();
}

void Stdio::Sink::ready(uint32_t) { owner->flush_input(); }

}  // namespace gantry::shim

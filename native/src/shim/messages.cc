#include "shim/messages.h"

#include <signal.h>

#include "shim/fields.h"

namespace gantry::shim {

using wire::Field;
using wire::Writer;

static bool decode(std::string_view bytes, SignalRequest& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.signal);
      case 2: return take(field, out.exec_id);
      case 3: return take(field, out.all);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, ResizeRequest& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.exec_id);
      case 2: return take(field, out.height);
      case 3: return take(field, out.width);
      default: return false;
    }
  });
}

static bool decode(std::string_view bytes, ExecRequest& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return take(field, out.exec_id);
      case 2: return take_message(field, out.process);
      case 3: return take(field, out.open_stdin);
      case 4: return take(field, out.start_on_attach);
      case 5: return take_message(field, out.ticket);
      default: return false;
    }
  });
}

namespace {

// A message of one field at most, whose number is 1.
template <typename Value>
bool decode_single(const Field& field, Value& out) {
  return field.type == 2 && each_field(field.bytes, [&](const Field& part) { return part.number == 1 && take(part, out); });
}

bool decode_empty(const Field& field) {
  return field.type == 2 && each_field(field.bytes, [](const Field&) { return false; });
}

}  // namespace

bool decode(std::string_view bytes, ShimRequest& out) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) return take(field, out.seq);
    if (out.asked != Asked::kNothing || field.number > 11) return false;
    out.asked = static_cast<Asked>(field.number - 1);
    switch (out.asked) {
      case Asked::kHello: return decode_single(field, out.protocol_version);
      case Asked::kSignal: return take_message(field, out.signal);
      case Asked::kResize: return take_message(field, out.resize);
      case Asked::kCloseStdin: return decode_single(field, out.close_stdin_exec_id);
      case Asked::kAddTicket: return take_message(field, out.ticket);
      case Asked::kExec: return take_message(field, out.exec);
      case Asked::kState:
      case Asked::kReopenLog: return decode_empty(field);
      case Asked::kSetNames: return take_message(field, out.names);
      case Asked::kChangeNames: return take_message(field, out.names_change);
      case Asked::kNothing: return false;
    }
    return false;
  });
}

ExitStatus ExitStatus::from_wait(int code, int status) {
  if (code == CLD_EXITED) return {status & 0xff, 0};
  return {128 + status, status};
}

namespace {

// A ShimMessage with one field of its oneof.
std::string envelope(uint64_t reply_to, uint32_t field, std::string_view body) {
  std::string out;
  Writer writer(out);
  writer.number(1, reply_to);
  writer.message(field, body);
  return out;
}

}  // namespace

std::string encode_error(uint64_t reply_to, const RequestError& error) {
  std::string body;
  Writer writer(body);
  writer.text(1, error.code);
  writer.number(2, error.errno_value);
  writer.text(3, error.step);
  writer.text(4, error.message);
  writer.number(5, error.exit_code);
  return envelope(reply_to, 2, body);
}

std::string encode_ack(uint64_t reply_to) { return envelope(reply_to, 3, {}); }

std::string encode_hello(uint64_t reply_to, const Hello& hello) {
  std::string body;
  Writer writer(body);
  writer.number(1, kProtocolVersion);
  writer.text(2, hello.id);
  writer.bytes(3, hello.nonce);
  writer.number(4, hello.pid);
  writer.number(5, hello.pid_start_ticks);
  for (const auto& exec : hello.execs) {
    std::string state;
    Writer state_writer(state);
    state_writer.text(1, exec.exec_id);
    state_writer.number(2, exec.pid);
    writer.message(6, state);
  }
  writer.number(7, hello.started_ns);
  return envelope(reply_to, 4, body);
}

std::string encode_exec_started(uint64_t reply_to, std::string_view exec_id, int32_t pid) {
  std::string body;
  Writer writer(body);
  writer.text(1, exec_id);
  writer.number(2, pid);
  return envelope(reply_to, 5, body);
}

std::string encode_started(int32_t pid, uint64_t start_ticks, int64_t time_nano) {
  std::string body;
  Writer writer(body);
  writer.number(1, pid);
  writer.number(2, start_ticks);
  writer.number(3, time_nano);
  return envelope(0, 6, body);
}

std::string encode_start_failed(const Failure& failure) {
  std::string body;
  Writer writer(body);
  writer.text(1, failure.step);
  writer.number(2, failure.error);
  writer.text(3, failure.subject);
  writer.text(4, failure.message);
  writer.number(5, failure.exit_code());
  return envelope(0, 7, body);
}

std::string encode_exited(const ExitStatus& status, bool oom_killed, int64_t time_nano) {
  std::string body;
  Writer writer(body);
  writer.number(1, status.exit_code);
  writer.number(2, status.signal);
  writer.flag(3, oom_killed);
  writer.number(4, time_nano);
  return envelope(0, 8, body);
}

std::string encode_oom() { return envelope(0, 9, {}); }

std::string encode_warning(std::string_view text) {
  std::string body;
  Writer(body).text(1, text);
  return envelope(0, 13, body);
}

std::string encode_exec_exited(std::string_view exec_id, const ExitStatus& status, int64_t time_nano,
                               std::string_view message) {
  std::string body;
  Writer writer(body);
  writer.text(1, exec_id);
  writer.number(2, status.exit_code);
  writer.number(3, status.signal);
  writer.number(4, time_nano);
  writer.text(5, message);
  return envelope(0, 10, body);
}

std::string encode_attached(std::string_view exec_id) {
  std::string body;
  Writer(body).text(1, exec_id);
  return envelope(0, 11, body);
}

std::string encode_detached(std::string_view exec_id, bool by_keys) {
  std::string body;
  Writer writer(body);
  writer.text(1, exec_id);
  writer.flag(2, by_keys);
  return envelope(0, 12, body);
}

}  // namespace gantry::shim

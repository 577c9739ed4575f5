#include "relay/port_table.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace gantry::relay {
namespace {

// Of the control protocol. Raise it when an older engine could not work with this program any more.
constexpr int kProtocolVersion = 1;

std::string text_of(const JsonObject& request, const char* key) {
  auto found = request.find(key);
  return found != request.end() && found->second.is_string ? found->second.text : std::string();
}

uint16_t port_of(const JsonObject& request, const char* key) {
  auto found = request.find(key);
  uint16_t value = 0;
  if (found == request.end() || found->second.is_string) return 0;
  const std::string& text = found->second.text;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

std::string refusal(std::string_view op, std::string_view id, int error, std::string_view message) {
  std::string name = error == 0 ? "EINVAL" : strerrorname_np(error);
  return "{\"op\":" + quote_json(op) + ",\"id\":" + quote_json(id) + ",\"ok\":false,\"errno\":" + quote_json(name) +
         ",\"message\":" + quote_json(message) + "}";
}

bool same_host_side(const PortSpec& a, const PortSpec& b) {
  return a.proto == b.proto && a.host_ip == b.host_ip && a.host_port == b.host_port;
}

}  // namespace

PortTable::PortTable(EventLoop& loop) : loop_(loop) {
  loop.on_tick([this] {
    bool again = false;
    for (auto& [id, entry] : ports_) again |= entry.port->on_tick();
    return again;
  });
}

std::string PortTable::answer(std::string_view line) {
  std::optional<JsonObject> request = parse_flat_json(line);
  if (!request) return refusal("", "", 0, "request is not a flat JSON object");
  std::string op = text_of(*request, "op");
  if (op == "add") return add(*request);
  if (op == "del") return remove(*request);
  if (op == "list") return list();
  if (op == "ping")
    return "{\"op\":\"ping\",\"ok\":true,\"version\":" + std::to_string(kProtocolVersion) + ",\"pid\":" + std::to_string(getpid()) +
           ",\"ports\":" + std::to_string(ports_.size()) + "}";
  if (op == "shutdown") {
    loop_.stop();
    return "{\"op\":\"shutdown\",\"ok\":true}";
  }
  return refusal(op, text_of(*request, "id"), 0, "unknown op");
}

std::string PortTable::add(const JsonObject& request) {
  PortSpec spec{.id = text_of(request, "id"),
                .proto = text_of(request, "proto"),
                .host_ip = text_of(request, "hostIp"),
                .host_port = port_of(request, "hostPort"),
                .container_ip = text_of(request, "containerIp"),
                .container_port = port_of(request, "containerPort")};
  if (spec.id.empty()) return refusal("add", "", 0, "id is missing");
  if (spec.proto != "tcp" && spec.proto != "udp") return refusal("add", spec.id, EPROTONOSUPPORT, "protocol must be tcp or udp");
  if (spec.host_port == 0 || spec.container_port == 0) return refusal("add", spec.id, 0, "ports must be 1 to 65535");
  std::optional<Address> host = parse_address(spec.host_ip, spec.host_port);
  std::optional<Address> target = parse_address(spec.container_ip, spec.container_port);
  if (!host || !target) return refusal("add", spec.id, 0, "addresses must be numeric");

  std::string done = "{\"op\":\"add\",\"id\":" + quote_json(spec.id) + ",\"ok\":true,\"hostPort\":" + std::to_string(spec.host_port) + "}";
  if (auto known = ports_.find(spec.id); known != ports_.end()) {
    if (!same_host_side(known->second.spec, spec)) return refusal("add", spec.id, EEXIST, "id is in use for another host port");
    bool moved = known->second.spec.container_ip != spec.container_ip || known->second.spec.container_port != spec.container_port;
    if (moved) known->second.port->set_target(*target);
    known->second.spec = std::move(spec);
    return done;
  }
  std::unique_ptr<Port> port = spec.proto == "tcp" ? open_tcp_port(loop_, *host, *target) : open_udp_port(loop_, *host, *target);
  if (!port) return refusal("add", spec.id, errno, strerrordesc_np(errno));
  std::string id = spec.id;
  ports_.emplace(std::move(id), Entry{std::move(spec), std::move(port)});
  return done;
}

void PortTable::close(Entry& entry) {
  entry.port->close();
  loop_.retire(entry.port->handler(), entry.port);
}

std::string PortTable::remove(const JsonObject& request) {
  std::string id = text_of(request, "id");
  auto found = ports_.find(id);
  bool known = found != ports_.end();
  if (known) {
    close(found->second);
    ports_.erase(found);
  }
  return "{\"op\":\"del\",\"id\":" + quote_json(id) + ",\"ok\":true,\"found\":" + (known ? "true" : "false") + "}";
}

std::string PortTable::list() const {
  std::string out = "{\"op\":\"list\",\"ok\":true,\"ports\":[";
  for (const auto& [id, entry] : ports_) {
    const PortSpec& spec = entry.spec;
    if (out.back() != '[') out += ',';
    out += "{\"id\":" + quote_json(spec.id) + ",\"proto\":" + quote_json(spec.proto) + ",\"hostIp\":" + quote_json(spec.host_ip) +
           ",\"hostPort\":" + std::to_string(spec.host_port) + ",\"containerIp\":" + quote_json(spec.container_ip) +
           ",\"containerPort\":" + std::to_string(spec.container_port) + ",\"active\":" + std::to_string(entry.port->active()) + "}";
  }
  return out + "]}";
}

}  // namespace gantry::relay

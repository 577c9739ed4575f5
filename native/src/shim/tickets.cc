#include "shim/tickets.h"

#include <algorithm>
#include <utility>

namespace gantry::shim {
namespace {

constexpr size_t kTicketsMax = 4096;

// Takes the same time wherever they differ.
bool equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

void Tickets::drop_old() {
  const uint64_t now = monotonic_ms();
  std::erase_if(entries_, [&](const Entry& entry) { return entry.expires_ms != 0 && entry.expires_ms <= now; });
  if (entries_.empty()) entries_ = {};
}

bool Tickets::add(StreamTicket ticket) {
  drop_old();
  if (ticket.ticket.size() != kTicketBytes || entries_.size() >= kTicketsMax) return false;
  for (const auto& entry : entries_) {
    if (equal(entry.ticket.ticket, ticket.ticket)) return false;
  }
  const uint64_t expires = ticket.ttl_ms == 0 ? 0 : monotonic_ms() + ticket.ttl_ms;
  entries_.push_back({std::move(ticket), expires});
  return true;
}

bool Tickets::take(std::string_view ticket, StreamTicket& out) {
  drop_old();
  const auto place =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return equal(entry.ticket.ticket, ticket); });
  if (place == entries_.end()) return false;
  out = std::move(place->ticket);
  out.ticket = {};
  entries_.erase(place);
  if (entries_.empty()) entries_ = {};
  return true;
}

void Tickets::drop_exec(std::string_view exec_id) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.ticket.exec_id == exec_id; });
}

}  // namespace gantry::shim

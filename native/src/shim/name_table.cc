#include "shim/name_table.h"

#include <algorithm>
#include <utility>

namespace gantry::shim {
namespace {

// FNV-1a. Names come from the engine's users, who can do worse than to make two of them collide.
uint32_t hash_of(std::string_view name) {
  uint32_t hash = 2166136261U;
  for (const char letter : name) hash = (hash ^ static_cast<uint8_t>(letter)) * 16777619U;
  return hash;
}

void make_small(std::string& text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + ('a' - 'A'));
  }
}

}  // namespace

void NameTable::set(NameTablePlan plan) {
  networks_.clear();
  networks_.reserve(plan.networks.size());
  for (auto& from : plan.networks) {
    Network& network = networks_.emplace_back();
    network.id = std::move(from.id);
    network.shown_name = from.name;
    network.name = std::move(from.name);
    make_small(network.name);
    network.links = std::move(from.links);
    for (auto& link : network.links) {
      make_small(link.alias);
      make_small(link.name);
    }
    for (auto& member : from.members) network.put(std::move(member));
  }
  upstreams_ = std::move(plan.upstreams);
  has_way_out_ = plan.has_way_out;
  keep_single_labels_ = plan.keep_single_labels;
}

bool NameTable::change(NamesChange change) {
  const auto place = std::find_if(networks_.begin(), networks_.end(),
                                  [&](const Network& network) { return network.id == change.network_id; });
  if (place == networks_.end()) return false;
  for (const auto& id : change.drop) place->drop(id);
  for (auto& member : change.put) place->put(std::move(member));
  return true;
}

void NameTable::Network::put(NameMemberPlan plan) {
  drop(plan.id);
  Member& member = members.emplace_back();
  const auto index = static_cast<uint32_t>(members.size() - 1);
  member.id = std::move(plan.id);
  if (!plan.names.empty()) member.name = plan.names.front();
  for (const auto& address : plan.addresses) {
    member.addresses += static_cast<char>(address.size());
    member.addresses += address;
  }
  for (auto& text : plan.names) {
    make_small(text);
    entries.push_back({hash_of(text), index});
    names.push_back(std::move(text));
  }
}

void NameTable::Network::drop(std::string_view id) {
  const auto place = std::find_if(members.begin(), members.end(), [&](const Member& member) { return member.id == id; });
  if (place == members.end()) return;
  const auto index = static_cast<uint32_t>(place - members.begin());
  members.erase(place);
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].member == index) continue;
    entries[kept] = entries[i];
    if (entries[kept].member > index) --entries[kept].member;
    if (kept != i) names[kept] = std::move(names[i]);
    ++kept;
  }
  entries.resize(kept);
  names.resize(kept);
}

const std::string* NameTable::Network::linked(std::string_view alias) const {
  for (const auto& link : links) {
    if (link.alias == alias) return &link.name;
  }
  return nullptr;
}

void NameTable::Network::find(std::string_view name, size_t address_size, Found& found) const {
  const uint32_t hash = hash_of(name);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].hash != hash || names[i] != name) continue;
    found.known = true;
    std::string_view rest = members[entries[i].member].addresses;
    while (!rest.empty()) {
      const auto size = static_cast<size_t>(static_cast<uint8_t>(rest.front()));
      if (size == address_size) found.addresses.push_back(rest.substr(1, size));
      rest.remove_prefix(1 + size);
    }
  }
}

// The first network with an address answers. `known` without one stays, so that no later step forgets it.
bool NameTable::find_in(std::string_view name, std::string_view network_name, size_t address_size, Found& found) const {
  for (const bool by_link : {true, false}) {
    for (const Network& network : networks_) {
      if (!network_name.empty() && network.name != network_name) continue;
      const std::string* target = network.linked(name);
      // What a link names is nobody else in that network.
      if (by_link != (target != nullptr)) continue;
      network.find(by_link ? std::string_view(*target) : name, address_size, found);
      if (!found.addresses.empty()) return true;
    }
  }
  return false;
}

NameTable::Found NameTable::find(std::string_view name, size_t address_size) const {
  Found found;
  if (name.empty()) return found;
  if (find_in(name, {}, address_size, found)) return found;
  // `a.b.c` is `a.b` in network `c`, and `a` in network `b.c`.
  for (size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    if (dot + 1 < name.size() && find_in(name.substr(0, dot), name.substr(dot + 1), address_size, found)) return found;
  }
  return found;
}

std::string NameTable::name_of(std::string_view address) const {
  for (const Network& network : networks_) {
    for (const Member& member : network.members) {
      std::string_view rest = member.addresses;
      while (!rest.empty()) {
        const auto size = static_cast<size_t>(static_cast<uint8_t>(rest.front()));
        if (rest.substr(1, size) == address && !member.name.empty()) return member.name + '.' + network.shown_name;
        rest.remove_prefix(1 + size);
      }
    }
  }
  return {};
}

}  // namespace gantry::shim

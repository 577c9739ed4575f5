// What a container's name server knows: who is in its networks, by name and by address. Plain data and look-ups.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shim/plan.h"

namespace gantry::shim {

class NameTable {
 public:
  // Replaces everything.
  void set(NameTablePlan plan);

  // Changes one network; false when there is none of that ID.
  bool change(NamesChange change);

  // What is known of a name (in small letters): `known` also when it has no address of this size (4 or 16 bytes).
  struct Found {
    bool known = false;
    std::vector<std::string_view> addresses;
  };
  Found find(std::string_view name, size_t address_size) const;

  // `name.network` of whoever has the address, or empty.
  std::string name_of(std::string_view address) const;

  const std::vector<NameUpstreamPlan>& upstreams() const { return upstreams_; }
  bool has_way_out() const { return has_way_out_; }
  bool keeps_single_labels() const { return keep_single_labels_; }

 private:
  struct Member {
    std::string id;
    // The name that answers for its addresses.
    std::string name;
    // Addresses one after the other, each behind a byte with its length.
    std::string addresses;
  };

  // Names are found by their hash, in one pass over 12 bytes each: a network of a thousand costs a few microseconds,
  // and little memory in each of its thousand containers.
  struct NameEntry {
    uint32_t hash = 0;
    uint32_t member = 0;
  };

  struct Network {
    std::string id;
    // In small letters, and as it is written.
    std::string name;
    std::string shown_name;
    std::vector<NameLinkPlan> links;
    std::vector<Member> members;
    std::vector<NameEntry> entries;
    // The names of the entries, in the same order.
    std::vector<std::string> names;

    void put(NameMemberPlan plan);
    void drop(std::string_view id);
    const std::string* linked(std::string_view alias) const;
    void find(std::string_view name, size_t address_size, Found& found) const;
  };

  bool find_in(std::string_view name, std::string_view network_name, size_t address_size, Found& found) const;

  std::vector<Network> networks_;
  std::vector<NameUpstreamPlan> upstreams_;
  bool has_way_out_ = false;
  bool keep_single_labels_ = false;
};

}  // namespace gantry::shim

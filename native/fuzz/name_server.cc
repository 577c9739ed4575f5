// Queries of a container and answers of name servers: whatever they hold, an answer is well-formed, fits, and is to the
// question that was asked; and a table finds what was put into it and nothing that was dropped.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "shim/dns_message.h"
#include "shim/name_answer.h"
#include "shim/name_table.h"

using namespace gantry::shim;

namespace {

void require(bool holds) {
  if (!holds) abort();
}

// A table of two networks whose names are taken from the input, so that the fuzzer can ask for them.
NameTablePlan make_plan(std::string_view word, uint8_t choice) {
  NameTablePlan plan;
  plan.version = kNamesVersion;
  plan.keep_single_labels = (choice & 1) != 0;
  for (const char* id : {"one", "two"}) {
    NameNetworkPlan& network = plan.networks.emplace_back();
    network.id = id;
    network.name = id;
    network.links.push_back({"alias", std::string(word)});
    for (int i = 0; i < (choice >> 1); ++i) {
      NameMemberPlan& member = network.members.emplace_back();
      member.id = std::to_string(i);
      member.names = {"web" + std::to_string(i), "web", std::string(word)};
      member.addresses = {std::string("\x0a\x00\x00", 3) + static_cast<char>(i), std::string(16, static_cast<char>(i))};
    }
  }
  return plan;
}

void check_answer(const std::string& answer, const dns::Query& query, size_t max) {
  require(answer.size() <= max && answer.size() >= dns::kHeaderBytes + query.question.size());
  require(dns::is_answer_to(answer, query.id, query.question));
  dns::Query none;
  require(dns::parse_query(answer, none) == dns::Parsed::kIgnored);
}

void check_query(const NameTable& table, std::string_view message) {
  dns::Query query;
  const dns::Parsed parsed = dns::parse_query(message, query);
  if (parsed != dns::Parsed::kQuery) {
    const std::string refusal = dns::refuse(message, dns::Rcode::kFormatError);
    require(refusal.empty() == (message.size() < dns::kHeaderBytes));
    return;
  }
  require(query.udp_max >= dns::kPlainUdpMax && query.udp_max <= dns::kMessageMax);
  require(query.question.data() >= message.data() &&
          query.question.data() + query.question.size() <= message.data() + message.size());
  std::string answer;
  if (answer_from_table(table, query, query.udp_max, static_cast<uint32_t>(message.size()), answer)) {
    check_answer(answer, query, query.udp_max);
  }
  check_answer(dns::compose(query, dns::Rcode::kServerFailure, {}, dns::kPlainUdpMax), query, dns::kPlainUdpMax);
}

void check_texts(std::string_view text) {
  std::string address;
  if (dns::parse_reverse_name(text, address)) require(address.size() == 4 || address.size() == 16);
  std::string wire;
  if (dns::encode_name(text, wire)) require(wire.size() <= 255 && wire.back() == '\0');
  (void)dns::is_answer_to(text, 0, text);
}

void check_changes(NameTable& table, std::string_view word) {
  NamesChange put;
  put.network_id = "one";
  put.put.push_back({"new", {"newcomer-at-large"}, {std::string(4, '\x07')}});
  require(table.change(put));
  require(table.find("newcomer-at-large", 4).addresses.size() == 1 && table.find("newcomer-at-large.one", 4).known);
  require(table.find("newcomer-at-large", 16).known && table.find("newcomer-at-large", 16).addresses.empty());
  NamesChange drop;
  drop.network_id = "one";
  drop.drop = {"new", std::string(word)};
  require(table.change(drop));
  require(!table.find("newcomer-at-large", 4).known);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string_view word = rest.substr(0, data[1] % 16);
  NameTable table;
  table.set(make_plan(word, data[0]));
  check_query(table, rest.substr(word.size()));
  check_texts(rest);
  check_changes(table, word);
  NameTablePlan decoded;
  if (decode(rest, decoded)) {
    table.set(std::move(decoded));
    check_query(table, rest);
  }
  return 0;
}

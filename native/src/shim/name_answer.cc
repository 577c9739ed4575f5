#include "shim/name_answer.h"

#include <algorithm>
#include <vector>

namespace gantry::shim {
namespace {

bool answer_address(const NameTable& table, const dns::Query& query, size_t max, uint32_t turn, std::string& out) {
  const bool v6 = query.type == dns::kTypeAaaa;
  NameTable::Found found = table.find(query.name, v6 ? 16 : 4);
  const bool asks_address = v6 || query.type == dns::kTypeA;
  if (!found.known) {
    // The client is to come again with a search domain behind the name.
    const bool kept = asks_address && table.keeps_single_labels() && query.name.find('.') == std::string::npos;
    if (kept) out = dns::compose(query, dns::Rcode::kNoError, {}, max);
    return kept;
  }
  // Who has an address takes mail there. Of other records the servers outside may know: the name can be theirs, too.
  if (query.type == dns::kTypeMx) found.addresses.clear();
  else if (!asks_address) return false;
  auto& addresses = found.addresses;
  if (!addresses.empty()) std::rotate(addresses.begin(), addresses.begin() + turn % addresses.size(), addresses.end());
  std::vector<dns::Record> records;
  records.reserve(addresses.size());
  for (const std::string_view address : addresses) records.push_back({query.type, std::string(address)});
  out = dns::compose(query, dns::Rcode::kNoError, records, max);
  return true;
}

bool answer_pointer(const NameTable& table, const dns::Query& query, size_t max, std::string& out) {
  std::string address;
  if (!dns::parse_reverse_name(query.name, address)) return false;
  dns::Record record;
  record.type = dns::kTypePtr;
  const std::string name = table.name_of(address);
  if (name.empty() || !dns::encode_name(name, record.data)) return false;
  out = dns::compose(query, dns::Rcode::kNoError, {record}, max);
  return true;
}

}  // namespace

bool answer_from_table(const NameTable& table, const dns::Query& query, size_t max, uint32_t turn, std::string& out) {
  if (query.klass != dns::kClassInternet) return false;
  if (query.type == dns::kTypePtr && answer_pointer(table, query, max, out)) return true;
  return answer_address(table, query, max, turn, out);
}

}  // namespace gantry::shim

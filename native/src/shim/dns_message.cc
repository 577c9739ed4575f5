#include "shim/dns_message.h"

#include <algorithm>

namespace gantry::shim::dns {
namespace {

constexpr uint16_t kResponse = 0x8000;
constexpr uint16_t kOpcode = 0x7800;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kRecursionDesired = 0x0100;
constexpr uint16_t kRecursionAvailable = 0x0080;
constexpr uint16_t kCheckingDisabled = 0x0010;
constexpr uint16_t kTypeOpt = 41;
constexpr uint32_t kDnssecOk = 0x8000;
constexpr size_t kLabelMax = 63;
constexpr size_t kNameMax = 255;
// Docker's.
constexpr uint32_t kTimeToLive = 600;
// What our own answers can be, told to clients that ask.
constexpr uint16_t kOwnUdpMax = 1232;
// Name (the root), type, class, TTL, length.
constexpr size_t kOptBytes = 11;

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

uint16_t number_at(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void put32(std::string& out, uint32_t value) {
  put16(out, static_cast<uint16_t>(value >> 16));
  put16(out, static_cast<uint16_t>(value));
}

char small(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter; }

// Reads the name of a question, which nothing can be compressed to. Leaves `at` behind it.
bool read_name(std::string_view bytes, size_t& at, std::string& name) {
  const size_t begin = at;
  bool plain = true;
  for (;;) {
    if (at >= bytes.size()) return false;
    const size_t length = byte_at(bytes, at++);
    if (length == 0) break;
    if (length > kLabelMax || length > bytes.size() - at || at + length - begin >= kNameMax) return false;
    if (!name.empty()) name += '.';
    for (const char letter : bytes.substr(at, length)) {
      plain = plain && letter != '.' && letter != '\0';
      name += small(letter);
    }
    at += length;
  }
  if (!plain) name.clear();
  return true;
}

// The EDNS record, where it is what follows the question. One that comes later is not looked for: the client then gets
// what every client takes.
void read_edns(std::string_view rest, Query& out) {
  if (rest.size() < kOptBytes || rest[0] != '\0' || number_at(rest, 1) != kTypeOpt) return;
  out.edns = true;
  out.udp_max = std::max<size_t>(kPlainUdpMax, number_at(rest, 3));
  out.dnssec_ok = (number_at(rest, 7) & kDnssecOk) != 0;
}

void put_header(std::string& out, uint16_t id, uint16_t flags, uint16_t questions, uint16_t answers, uint16_t additional) {
  put16(out, id);
  put16(out, flags);
  put16(out, questions);
  put16(out, answers);
  put16(out, 0);
  put16(out, additional);
}

uint16_t answer_flags(uint16_t query_flags, Rcode rcode) {
  const auto kept = static_cast<uint16_t>(query_flags & (kOpcode | kRecursionDesired | kCheckingDisabled));
  return static_cast<uint16_t>(kResponse | kRecursionAvailable | kept | static_cast<uint16_t>(rcode));
}

void put_record(std::string& out, const Record& record) {
  // A pointer to the question's name.
  put16(out, 0xc000 | kHeaderBytes);
  put16(out, record.type);
  put16(out, kClassInternet);
  put32(out, kTimeToLive);
  put16(out, static_cast<uint16_t>(record.data.size()));
  out += record.data;
}

void put_edns(std::string& out, bool dnssec_ok) {
  out += '\0';
  put16(out, kTypeOpt);
  put16(out, kOwnUdpMax);
  put32(out, dnssec_ok ? kDnssecOk : 0);
  put16(out, 0);
}

int hex_digit(std::string_view label) {
  if (label.size() != 1) return -1;
  if (label[0] >= '0' && label[0] <= '9') return label[0] - '0';
  return label[0] >= 'a' && label[0] <= 'f' ? label[0] - 'a' + 10 : -1;
}

int decimal_byte(std::string_view label) {
  if (label.empty() || label.size() > 3 || (label.size() > 1 && label[0] == '0')) return -1;
  int value = 0;
  for (const char digit : label) {
    if (digit < '0' || digit > '9') return -1;
    value = value * 10 + (digit - '0');
  }
  return value <= 255 ? value : -1;
}

// Takes the last label off; the address' first part is the last one of its reverse name.
std::string_view take_last(std::string_view& labels) {
  const size_t dot = labels.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? labels : labels.substr(dot + 1);
  labels = dot == std::string_view::npos ? std::string_view() : labels.substr(0, dot);
  return last;
}

}  // namespace

Parsed parse_query(std::string_view bytes, Query& out) {
  if (bytes.size() < kHeaderBytes) return Parsed::kIgnored;
  out = {};
  out.id = message_id(bytes);
  out.flags = number_at(bytes, 2);
  if ((out.flags & kResponse) != 0) return Parsed::kIgnored;
  if ((out.flags & kOpcode) != 0) return Parsed::kUnsupported;
  // One question, and nothing that only answers have.
  if (number_at(bytes, 4) != 1) return Parsed::kMalformed;
  size_t at = kHeaderBytes;
  if (!read_name(bytes, at, out.name) || bytes.size() - at < 4) return Parsed::kMalformed;
  out.type = number_at(bytes, at);
  out.klass = number_at(bytes, at + 2);
  out.question = bytes.substr(kHeaderBytes, at + 4 - kHeaderBytes);
  const bool only_additional = number_at(bytes, 6) == 0 && number_at(bytes, 8) == 0 && number_at(bytes, 10) != 0;
  if (only_additional) read_edns(bytes.substr(at + 4), out);
  return Parsed::kQuery;
}

std::string compose(const Query& query, Rcode rcode, const std::vector<Record>& records, size_t max) {
  size_t left = std::min(max, kMessageMax) - kHeaderBytes - query.question.size() - (query.edns ? kOptBytes : 0);
  std::string body;
  uint16_t count = 0;
  for (const Record& record : records) {
    constexpr size_t kFixed = 12;
    if (kFixed + record.data.size() > left) break;
    left -= kFixed + record.data.size();
    put_record(body, record);
    ++count;
  }
  uint16_t flags = answer_flags(query.flags, rcode);
  if (count < records.size()) flags |= kTruncated;
  std::string out;
  put_header(out, query.id, flags, 1, count, query.edns ? 1 : 0);
  out += query.question;
  out += body;
  if (query.edns) put_edns(out, query.dnssec_ok);
  return out;
}

std::string refuse(std::string_view bytes, Rcode rcode) {
  std::string out;
  if (bytes.size() >= kHeaderBytes) put_header(out, message_id(bytes), answer_flags(number_at(bytes, 2), rcode), 0, 0, 0);
  return out;
}

bool encode_name(std::string_view name, std::string& out) {
  const size_t begin = out.size();
  while (!name.empty()) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kLabelMax) return false;
    out += static_cast<char>(label.size());
    out += label;
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  out += '\0';
  return out.size() - begin <= kNameMax;
}

bool parse_reverse_name(std::string_view name, std::string& address) {
  constexpr std::string_view kV4 = ".in-addr.arpa";
  constexpr std::string_view kV6 = ".ip6.arpa";
  address.clear();
  const bool v4 = name.ends_with(kV4);
  if (!v4 && !name.ends_with(kV6)) return false;
  name.remove_suffix(v4 ? kV4.size() : kV6.size());
  while (!name.empty() && address.size() < 16) {
    int value = 0;
    if (v4) {
      value = decimal_byte(take_last(name));
    } else {
      const int high = hex_digit(take_last(name));
      const int low = hex_digit(take_last(name));
      value = high < 0 || low < 0 ? -1 : high << 4 | low;
    }
    if (value < 0) return false;
    address += static_cast<char>(value);
  }
  return name.empty() && address.size() == (v4 ? 4 : 16);
}

bool is_answer_to(std::string_view answer, uint16_t id, std::string_view question) {
  if (answer.size() < kHeaderBytes || message_id(answer) != id || (number_at(answer, 2) & kResponse) == 0) return false;
  // Some servers leave the question out of an error.
  if (number_at(answer, 4) == 0) return message_rcode(answer) != Rcode::kNoError;
  const std::string_view echoed = answer.substr(kHeaderBytes, question.size());
  return std::equal(echoed.begin(), echoed.end(), question.begin(), question.end(),
                    [](char one, char other) { return small(one) == small(other); });
}

uint16_t message_id(std::string_view bytes) { return number_at(bytes, 0); }

void set_message_id(char* bytes, uint16_t id) {
  bytes[0] = static_cast<char>(id >> 8);
  bytes[1] = static_cast<char>(id);
}

Rcode message_rcode(std::string_view bytes) { return static_cast<Rcode>(byte_at(bytes, 3) & 0x0f); }

}  // namespace gantry::shim::dns

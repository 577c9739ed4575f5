// Messages of the domain name system (RFC 1035), as far as the container's name server reads and writes them: the header
// and the question of a query, whole answers. What comes in is written by anybody in the container or, as an answer, by
// anybody out there; nothing here trusts a length, and nothing reads past the bytes it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::shim::dns {

inline constexpr size_t kHeaderBytes = 12;
// What every client takes by UDP, and the most that TCP can carry.
inline constexpr size_t kPlainUdpMax = 512;
inline constexpr size_t kMessageMax = 65535;

inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypePtr = 12;
inline constexpr uint16_t kTypeMx = 15;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr uint16_t kClassInternet = 1;

enum class Rcode : uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5
};

// A query with exactly one question.
struct Query {
  uint16_t id = 0;
  uint16_t flags = 0;
  // The question as it stands in the message, inside the caller's bytes: name, type and class.
  std::string_view question;
  // The name in small letters, without the dot at the end. Empty for the root, and for names that no table can hold
  // (a label with a dot or a NUL in it).
  std::string name;
  uint16_t type = 0;
  uint16_t klass = 0;
  // The client speaks EDNS (RFC 6891).
  bool edns = false;
  bool dnssec_ok = false;
  // The largest answer that it takes by UDP.
  size_t udp_max = kPlainUdpMax;
};

enum class Parsed {
  // A query; it may be answered or passed on.
  kQuery,
  // Answered with `refuse`: the ID is known and nothing else can be made of it.
  kMalformed,
  kUnsupported,
  // No query at all: not answered, lest two servers answer each other for ever.
  kIgnored,
};

Parsed parse_query(std::string_view bytes, Query& out);

// One record of an answer; its name is the question's.
struct Record {
  uint16_t type = 0;
  std::string data;
};

// A whole answer of at most `max` bytes: records that do not fit are left out, and the answer is marked as truncated.
std::string compose(const Query& query, Rcode rcode, const std::vector<Record>& records, size_t max);

// An answer to bytes that are no query.
std::string refuse(std::string_view bytes, Rcode rcode);

// A name in wire form; false when it has an empty label or is too long.
bool encode_name(std::string_view name, std::string& out);

// The address (4 or 16 bytes) that a name below in-addr.arpa or ip6.arpa asks about; false for any other name.
bool parse_reverse_name(std::string_view name, std::string& address);

// Whether `answer` is an answer to the query with this ID and question (of any case).
bool is_answer_to(std::string_view answer, uint16_t id, std::string_view question);

// Parts of a message of at least kHeaderBytes.
uint16_t message_id(std::string_view bytes);
void set_message_id(char* bytes, uint16_t id);
Rcode message_rcode(std::string_view bytes);

}  // namespace gantry::shim::dns

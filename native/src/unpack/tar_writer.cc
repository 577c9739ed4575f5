#include "unpack/tar_writer.h"

#include <array>
#include <cstdio>
#include <cstring>

#include "unpack/in_root.h"

namespace gantry::unpack {
namespace {

constexpr uint64_t kMaxOctal7 = 07777777;
constexpr uint64_t kMaxOctal11 = 077777777777;

using Header = std::array<char, 512>;

void put_text(Header& header, size_t offset, size_t size, std::string_view text) {
  if (!text.empty()) memcpy(header.data() + offset, text.data(), std::min(size, text.size()));
}

// Digits and a NUL; a value that does not fit is 0 here and told by a PAX record.
void put_octal(Header& header, size_t offset, size_t size, uint64_t value) {
  uint64_t max = size == 12 ? kMaxOctal11 : kMaxOctal7;
  if (value > max) value = 0;
  for (size_t i = size - 1; i-- > 0; value >>= 3) header[offset + i] = static_cast<char>('0' + (value & 7));
}

// Where a long name can be cut at a slash into prefix (155) and name (100). False when it cannot.
bool split_name(std::string_view name, std::string_view& prefix, std::string_view& rest) {
  prefix = {};
  rest = name;
  if (name.size() <= 100) return true;
  if (name.size() > 256) return false;
  // The last slash, but for one that ends the name, that leaves a prefix short enough.
  size_t slash = name.rfind('/', std::min<size_t>(155, name.size() - 2));
  if (slash == std::string_view::npos || slash == 0 || name.size() - slash - 1 > 100) return false;
  prefix = name.substr(0, slash);
  rest = name.substr(slash + 1);
  return true;
}

void add_record(std::string& records, std::string_view key, std::string_view value) {
  // The length counts its own digits.
  size_t content = key.size() + value.size() + 3;
  size_t length = content + std::to_string(content).size();
  if (std::to_string(length).size() != std::to_string(content).size()) length = content + std::to_string(length).size();
  records.append(std::to_string(length)).append(" ").append(key).append("=").append(value).append("\n");
}

std::string pax_time(Timestamp time) {
  int64_t seconds = time.seconds;
  uint32_t nanoseconds = time.nanoseconds;
  bool negative = seconds < 0;
  if (negative && nanoseconds > 0) {
    seconds += 1;
    nanoseconds = 1'000'000'000 - nanoseconds;
  }
  char text[48];
  snprintf(text, sizeof text, "%s%lld", negative ? "-" : "", static_cast<long long>(negative ? -seconds : seconds));
  std::string out = text;
  if (nanoseconds == 0) return out;
  snprintf(text, sizeof text, ".%09u", nanoseconds);
  out += text;
  return out.substr(0, out.find_last_not_of('0') + 1);
}

bool is_ascii(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

std::string pax_records(const TarEntry& entry, bool name_fits) {
  std::string records;
  if (!name_fits || !is_ascii(entry.name)) add_record(records, "path", entry.name);
  if (entry.link_name.size() > 100 || !is_ascii(entry.link_name)) add_record(records, "linkpath", entry.link_name);
  if (entry.data_size > kMaxOctal11) add_record(records, "size", std::to_string(entry.data_size));
  if (entry.uid > kMaxOctal7) add_record(records, "uid", std::to_string(entry.uid));
  if (entry.gid > kMaxOctal7) add_record(records, "gid", std::to_string(entry.gid));
  bool plain_time = entry.mtime.nanoseconds == 0 && entry.mtime.seconds >= 0 &&
                    static_cast<uint64_t>(entry.mtime.seconds) <= kMaxOctal11;
  if (!plain_time) add_record(records, "mtime", pax_time(entry.mtime));
  for (const auto& [name, value] : entry.xattrs) add_record(records, "SCHILY.xattr." + name, value);
  return records;
}

char type_flag(EntryType type) {
  switch (type) {
    case EntryType::kRegular: return '0';
    case EntryType::kHardlink: return '1';
    case EntryType::kSymlink: return '2';
    case EntryType::kCharDevice: return '3';
    case EntryType::kBlockDevice: return '4';
    case EntryType::kDirectory: return '5';
    case EntryType::kFifo: return '6';
  }
  return '0';
}

void put_common(Header& header, char type, uint64_t size) {
  put_octal(header, 124, 12, size);
  header[156] = type;
  put_text(header, 257, 8, std::string_view("ustar\0" "00", 8));
}

void put_checksum(Header& header) {
  memset(header.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  snprintf(header.data() + 148, 8, "%06o", sum);
}

std::span<const uint8_t> bytes_of(const char* data, size_t size) { return {reinterpret_cast<const uint8_t*>(data), size}; }

}  // namespace

void TarWriter::header(const TarEntry& entry) {
  std::string_view prefix;
  std::string_view name;
  bool name_fits = split_name(entry.name, prefix, name);
  std::string records = pax_records(entry, name_fits);
  if (!records.empty()) {
    Header pax{};
    std::string pax_name = "PaxHeaders.0/" + std::string(split_path(clean_path(entry.name)).second).substr(0, 80);
    put_text(pax, 0, 100, is_ascii(pax_name) ? pax_name : "PaxHeaders.0/entry");
    put_octal(pax, 100, 8, 0644);
    put_octal(pax, 108, 8, 0);
    put_octal(pax, 116, 8, 0);
    put_octal(pax, 136, 12, 0);
    put_common(pax, 'x', records.size());
    put_checksum(pax);
    output_.write(bytes_of(pax.data(), pax.size()));
    output_.write(bytes_of(records.data(), records.size()));
    pad(records.size());
  }
  Header header{};
  put_text(header, 0, 100, name);
  put_text(header, 345, 155, prefix);
  put_text(header, 157, 100, entry.link_name);
  put_octal(header, 100, 8, entry.mode);
  put_octal(header, 108, 8, entry.uid);
  put_octal(header, 116, 8, entry.gid);
  put_octal(header, 136, 12, entry.mtime.seconds < 0 ? 0 : static_cast<uint64_t>(entry.mtime.seconds));
  put_octal(header, 329, 8, entry.device_major);
  put_octal(header, 337, 8, entry.device_minor);
  put_common(header, type_flag(entry.type), entry.data_size);
  put_checksum(header);
  output_.write(bytes_of(header.data(), header.size()));
}

}  // namespace gantry::unpack

#include "unpack/pax.h"

#include <charconv>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";
constexpr std::string_view kSparsePrefix = "GNU.sparse.";

[[noreturn]] void bad(std::string_view what) {
  fail("tar", "", std::string("read pax header: invalid ").append(what));
}

uint64_t number(std::string_view key, std::string_view value) {
  uint64_t out = 0;
  if (!parse_decimal(value, out)) bad(key);
  return out;
}

std::string path_text(std::string_view key, std::string_view value) {
  if (value.find('\0') != std::string_view::npos) bad(key);
  return std::string(value);
}

// Version 0.1: "offset,length,offset,length,..."
std::vector<SparseRun> parse_sparse_map(std::string_view text) {
  std::vector<uint64_t> numbers;
  while (!text.empty()) {
    size_t comma = text.find(',');
    numbers.push_back(number("GNU.sparse.map", text.substr(0, comma)));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  if (numbers.size() % 2 != 0) bad("GNU.sparse.map");
  std::vector<SparseRun> runs;
  for (size_t i = 0; i < numbers.size(); i += 2) runs.push_back({numbers[i], numbers[i + 1]});
  return runs;
}

void apply_sparse(PaxRecords& records, std::string_view key, std::string_view value) {
  std::string_view name = key.substr(kSparsePrefix.size());
  if (name == "major") records.sparse_major = number(key, value);
  else if (name == "minor") records.sparse_minor = number(key, value);
  else if (name == "name") records.sparse_name = path_text(key, value);
  else if (name == "size" || name == "realsize") records.sparse_size = number(key, value);
  else if (name == "map") {
    records.sparse_runs = parse_sparse_map(value);
    records.has_sparse_map = true;
  } else if (name == "offset") {
    // Version 0.0 repeats offset and numbytes for every run.
    records.sparse_runs.push_back({number(key, value), 0});
    records.has_sparse_map = true;
  } else if (name == "numbytes") {
    if (records.sparse_runs.empty()) bad(key);
    records.sparse_runs.back().length = number(key, value);
  }
}

void apply_record(PaxRecords& records, std::string_view key, std::string_view value) {
  if (key.starts_with(kXattrPrefix)) {
    std::string name = path_text("xattr name", key.substr(kXattrPrefix.size()));
    if (name.empty()) bad("xattr name");
    records.xattrs.emplace_back(std::move(name), value);
    return;
  }
  // An empty value takes an earlier one back.
  bool set = !value.empty();
  if (key == "path") records.path = set ? std::optional(path_text(key, value)) : std::nullopt;
  else if (key == "linkpath") records.link_path = set ? std::optional(path_text(key, value)) : std::nullopt;
  else if (key == "size") records.size = set ? std::optional(number(key, value)) : std::nullopt;
  else if (key == "uid") records.uid = set ? std::optional(number(key, value)) : std::nullopt;
  else if (key == "gid") records.gid = set ? std::optional(number(key, value)) : std::nullopt;
  else if (key == "mtime") {
    Timestamp time;
    if (set && !parse_pax_time(value, time)) bad(key);
    records.mtime = set ? std::optional(time) : std::nullopt;
  } else if (key.starts_with(kSparsePrefix) && set) {
    apply_sparse(records, key, value);
  }
}

}  // namespace

bool parse_decimal(std::string_view text, uint64_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

bool parse_pax_time(std::string_view text, Timestamp& out) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  size_t dot = text.find('.');
  uint64_t seconds = 0;
  if (!parse_decimal(text.substr(0, dot), seconds) || seconds > INT64_MAX - 1) return false;
  uint32_t nanoseconds = 0;
  if (dot != std::string_view::npos) {
    uint32_t unit = 100'000'000;
    for (char c : text.substr(dot + 1)) {
      if (c < '0' || c > '9') return false;
      nanoseconds += static_cast<uint32_t>(c - '0') * unit;
      unit /= 10;
    }
  }
  out.seconds = negative ? -static_cast<int64_t>(seconds) : static_cast<int64_t>(seconds);
  out.nanoseconds = nanoseconds;
  if (negative && nanoseconds > 0) {
    out.seconds -= 1;
    out.nanoseconds = 1'000'000'000 - nanoseconds;
  }
  return true;
}

PaxRecords parse_pax(std::string_view text) {
  PaxRecords records;
  while (!text.empty()) {
    size_t space = text.find(' ');
    uint64_t length = 0;
    if (space == std::string_view::npos || !parse_decimal(text.substr(0, space), length)) bad("record length");
    if (length > text.size() || length < space + 3 || text[length - 1] != '\n') bad("record length");
    std::string_view record = text.substr(space + 1, length - space - 2);
    size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) bad("record");
    apply_record(records, record.substr(0, equals), record.substr(equals + 1));
    text.remove_prefix(length);
  }
  return records;
}

}  // namespace gantry::unpack

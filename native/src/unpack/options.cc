#include "unpack/options.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string_view>

namespace gantry::unpack {
namespace {

constexpr unsigned kMaxLowers = 500;  // as many as overlayfs takes
constexpr unsigned kMaxLikeLayers = 16;

template <typename Number>
bool parse_number(std::string_view text, Number& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool parse_owner(std::string_view text, std::optional<Owner>& out) {
  size_t colon = text.find(':');
  Owner owner{};
  if (colon == std::string_view::npos || !parse_number(text.substr(0, colon), owner.uid) ||
      !parse_number(text.substr(colon + 1), owner.gid))
    return false;
  // -1 means "leave as it is" to chown(2).
  if (owner.uid == UINT32_MAX || owner.gid == UINT32_MAX) return false;
  out = owner;
  return true;
}

bool parse_compression(std::string_view text, Compression& out) {
  static const std::map<std::string_view, Compression> kNames = {
      {"auto", Compression::kAuto}, {"none", Compression::kNone},   {"gzip", Compression::kGzip},
      {"zstd", Compression::kZstd}, {"bzip2", Compression::kBzip2}, {"xz", Compression::kXz},
  };
  auto found = kNames.find(text);
  if (found == kNames.end()) return false;
  out = found->second;
  return true;
}

bool parse_mode(std::string_view text, Mode& out) {
  static const std::map<std::string_view, Mode> kNames = {
      {"unpack", Mode::kUnpack}, {"apply", Mode::kApply}, {"probe", Mode::kProbe},     {"pack", Mode::kPack},
      {"stat", Mode::kStat},     {"user", Mode::kUser},   {"changes", Mode::kChanges},
  };
  auto found = kNames.find(text);
  if (found == kNames.end()) return false;
  out = found->second;
  return true;
}

using Setter = std::function<bool(Options&, std::string_view)>;

const std::map<std::string_view, std::function<void(Options&)>> kFlags = {
    {"--sync", [](Options& o) { o.sync = true; }},
    {"--await-lowers", [](Options& o) { o.await_lowers = true; }},
    {"--accept", [](Options& o) { o.accept = true; }},
    {"--mntns", [](Options& o) { o.mount_namespace = true; }},
    {"--with-mounts", [](Options& o) { o.with_mounts = true; }},
    {"--no-overwrite-dir-non-dir", [](Options& o) { o.no_overwrite_dir_non_dir = true; }},
    {"--no-follow", [](Options& o) { o.follow = false; }},
    {"--overlay-upper", [](Options& o) { o.overlay_upper = true; }},
    {"--gzip", [](Options& o) { o.gzip = true; }},
    {"--digest", [](Options& o) { o.digest = true; }},
};

const std::map<std::string_view, Setter> kValues = {
    {"--max-bytes", [](Options& o, std::string_view v) { return parse_number(v, o.max_bytes); }},
    {"--max-entries", [](Options& o, std::string_view v) { return parse_number(v, o.max_entries); }},
    {"--max-ratio", [](Options& o, std::string_view v) { return parse_number(v, o.max_ratio); }},
    {"--lowers",
     [](Options& o, std::string_view v) { return parse_number(v, o.lowers) && o.lowers <= kMaxLowers; }},
    {"--blocks",
     [](Options& o, std::string_view v) { return parse_number(v, o.blocks.emplace()) && *o.blocks <= kMaxLikeLayers; }},
    {"--compression", [](Options& o, std::string_view v) { return parse_compression(v, o.compression); }},
    {"--chown", [](Options& o, std::string_view v) { return parse_owner(v, o.chown); }},
    {"--chown-user",
     [](Options& o, std::string_view v) {
       o.chown_user = v;
       return !v.empty();
     }},
    {"--user",
     [](Options& o, std::string_view v) {
       o.user = v;
       return !v.empty();
     }},
    {"--path",
     [](Options& o, std::string_view v) {
       o.path = v;
       return !v.empty();
     }},
    {"--hide",
     [](Options& o, std::string_view v) {
       o.hidden.emplace_back(v);
       return v.starts_with('/');
     }},
    {"--name",
     [](Options& o, std::string_view v) {
       o.name = v;
       return !v.empty();
     }},
};

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
  Options options;
  int i = 1;
  if (i < argc && argv[i][0] != '-') {
    if (!parse_mode(argv[i], options.mode)) {
      fprintf(stderr, "unpack: unknown mode %s\n", argv[i]);
      return std::nullopt;
    }
    i++;
  }
  for (; i < argc; i++) {
    if (auto flag = kFlags.find(argv[i]); flag != kFlags.end()) {
      flag->second(options);
      continue;
    }
    auto value = kValues.find(argv[i]);
    if (value == kValues.end() || i + 1 == argc || !value->second(options, argv[i + 1])) {
      fprintf(stderr, "unpack: bad option or value: %s\n", argv[i]);
      return std::nullopt;
    }
    i++;
  }
  if (!options.hidden.empty() && !options.mount_namespace) {
    fprintf(stderr, "unpack: --hide is for --mntns only\n");
    return std::nullopt;
  }
  if (options.mount_namespace && options.lowers > 0) {
    fprintf(stderr, "unpack: --mntns and --lowers exclude each other\n");
    return std::nullopt;
  }
  if (options.await_lowers && (options.mode != Mode::kUnpack || options.mount_namespace)) {
    fprintf(stderr, "unpack: --await-lowers is for unpack only\n");
    return std::nullopt;
  }
  if (options.blocks && (options.mode != Mode::kPack || !options.gzip || options.mount_namespace || options.lowers > 0)) {
    fprintf(stderr, "unpack: --blocks is for pack --gzip of a directory only\n");
    return std::nullopt;
  }
  if ((options.mode == Mode::kUser) == options.user.empty()) {
    fprintf(stderr, "unpack: user needs --user, which is for it only\n");
    return std::nullopt;
  }
  if (options.mode == Mode::kChanges && options.lowers != 1) {
    fprintf(stderr, "unpack: changes needs --lowers 1\n");
    return std::nullopt;
  }
  return options;
}

}  // namespace gantry::unpack

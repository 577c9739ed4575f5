#include "relay/flat_json.h"

namespace gantry::relay {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<JsonObject> object() {
    JsonObject object;
    if (!take('{')) return std::nullopt;
    if (!take('}')) {
      do {
        std::optional<std::string> key = string();
        if (!key || !take(':')) return std::nullopt;
        std::optional<JsonValue> value = scalar();
        if (!value || !object.emplace(std::move(*key), std::move(*value)).second) return std::nullopt;
      } while (take(','));
      if (!take('}')) return std::nullopt;
    }
    skip_space();
    return text_.empty() ? std::optional(std::move(object)) : std::nullopt;
  }

 private:
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size())); }

  bool take(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  std::optional<JsonValue> scalar() {
    skip_space();
    if (text_.starts_with('"')) {
      std::optional<std::string> text = string();
      if (!text) return std::nullopt;
      return JsonValue{std::move(*text), true};
    }
    size_t end = std::min(text_.find_first_of(",} \t\r\n"), text_.size());
    std::string_view word = text_.substr(0, end);
    text_.remove_prefix(end);
    if (word == "true" || word == "false" || word == "null" || is_whole_number(word)) return JsonValue{std::string(word), false};
    return std::nullopt;
  }

  static bool is_whole_number(std::string_view word) {
    if (word.starts_with('-')) word.remove_prefix(1);
    bool digits = !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
    return digits && (word == "0" || word[0] != '0');
  }

  std::optional<std::string> string() {
    if (!take('"')) return std::nullopt;
    std::string out;
    while (!text_.empty()) {
      char c = text_[0];
      text_.remove_prefix(1);
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
      if (c == '\\' && !escape(out)) return std::nullopt;
      if (c != '\\') out += c;
    }
    return std::nullopt;
  }

  bool escape(std::string& out) {
    if (text_.empty()) return false;
    char c = text_[0];
    text_.remove_prefix(1);
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (size_t at = kFrom.find(c); at != std::string_view::npos) {
      out += kTo[at];
      return true;
    }
    return c == 'u' && unicode(out);
  }

  // Of the basic plane only; what the protocol carries is ASCII.
  bool unicode(std::string& out) {
    unsigned code = 0;
    if (text_.size() < 4) return false;
    for (char c : text_.substr(0, 4)) {
      size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c));
      if (digit == std::string_view::npos) return false;
      code = code << 4 | static_cast<unsigned>(digit);
    }
    text_.remove_prefix(4);
    if (code >= 0xd800 && code <= 0xdfff) return false;
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3f));
    } else {
      out += static_cast<char>(0xe0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (code & 0x3f));
    }
    return true;
  }

  std::string_view text_;
};

}  // namespace

std::optional<JsonObject> parse_flat_json(std::string_view text) { return Parser(text).object(); }

std::string quote_json(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace gantry::relay

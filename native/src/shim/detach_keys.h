// Finding the detach key sequence in what a terminal's user types.
#pragma once

#include <string>
#include <string_view>

namespace gantry::shim {

class DetachKeys {
 public:
  explicit DetachKeys(std::string keys) : keys_(std::move(keys)) {}

  // Takes input and appends to `out` what goes on to the process. Bytes that begin the sequence are held back until
  // the next ones decide. True when the sequence was completed: it and what follows is swallowed.
  bool take(std::string_view input, std::string& out) {
    if (keys_.empty()) {
      out += input;
      return false;
    }
    for (const char byte : input) {
      if (byte == keys_[matched_]) {
        if (++matched_ == keys_.size()) return true;
        continue;
      }
      release(byte, out);
    }
    return false;
  }

 private:
  // The held bytes were no sequence after all, or only later ones begin it.
  void release(char byte, std::string& out) {
    std::string held = keys_.substr(0, matched_);
    held += byte;
    matched_ = 0;
    for (size_t begin = 1; begin <= held.size(); ++begin) {
      const std::string_view tail = std::string_view(held).substr(begin);
      if (std::string_view(keys_).substr(0, tail.size()) != tail) continue;
      out.append(held, 0, begin);
      matched_ = tail.size();
      return;
    }
  }

  std::string keys_;
  size_t matched_ = 0;
};

}  // namespace gantry::shim

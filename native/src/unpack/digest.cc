#include "unpack/digest.h"

namespace gantry::unpack {

std::string Sha256::finish() {
  unsigned char sum[SHA256_DIGEST_LENGTH];
  SHA256_Final(sum, &state_);
  std::string text = "sha256:";
  constexpr char kHex[] = "0123456789abcdef";
  for (unsigned char byte : sum) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace gantry::unpack

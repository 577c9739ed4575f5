// SHA-256 of a stream, by OpenSSL's block function (it uses the processor's SHA instructions where there are any).
// The low-level interface is deliberate: it links 10 kB, the EVP one 3 MB, and needs no provider to be set up.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstdint>
#include <span>
#include <string>

namespace gantry::unpack {

class Sha256 {
 public:
  Sha256() { SHA256_Init(&state_); }
  void update(std::span<const uint8_t> bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }
  // "sha256:<64 hex digits>". The object is used up.
  std::string finish();

 private:
  SHA256_CTX state_;
};

}  // namespace gantry::unpack

// RequestIds makes request ids: unique among all clients with overwhelming probability, short, and
// cheap (one atomic add and 24 hex digits).
//
// Thread safety: Next may be called by any thread.

#ifndef MERIDIAN_CLIENT_INTERNAL_REQUEST_IDS_H_
#define MERIDIAN_CLIENT_INTERNAL_REQUEST_IDS_H_

#include <atomic>
#include <cstdint>
#include <string>

namespace meridian {

class RequestIds {
 public:
  // `seed`: 64 random bits that no other client has.
  explicit RequestIds(uint64_t seed) : seed_(seed) {}

  std::string Next() {
    const uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
    std::string id(24, '0');
    WriteHex(seed_, 16, id.data());
    WriteHex(number, 8, id.data() + 16);
    return id;
  }

 private:
  static void WriteHex(uint64_t value, int digits, char* out) {
    for (int i = digits - 1; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 0xF];
  }

  const uint64_t seed_;
  std::atomic<uint64_t> next_{1};
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_REQUEST_IDS_H_

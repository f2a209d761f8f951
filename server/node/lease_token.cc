#include "server/node/lease_token.h"

#include <cstdint>

#include "common/base/hash.h"

namespace meridian {
namespace {

// Layout: 'L', hlc (8), region (2), milliseconds of the end (8), check (8), all little endian.
constexpr char kMagic = 'L';
constexpr size_t kHlc = 1;
constexpr size_t kRegion = 9;
constexpr size_t kEnd = 11;
constexpr size_t kCheck = 19;

void Write(uint64_t value, size_t size, char* out) {
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(value >> (8 * i));
}

uint64_t Read(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Over what is before it, and the key that it is for.
uint64_t CheckOf(std::string_view head, std::string_view name_space, std::string_view key) {
  return Hash64(key, Hash64(name_space, Hash64(head)));
}

}  // namespace

std::string LeaseToken::ToBytes(std::string_view name_space, std::string_view key) const {
  std::string bytes(kSize, '\0');
  bytes[0] = kMagic;
  Write(version.hlc, 8, bytes.data() + kHlc);
  Write(version.region, 2, bytes.data() + kRegion);
  Write(static_cast<uint64_t>(absl::ToUnixMillis(expires_at)), 8, bytes.data() + kEnd);
  Write(CheckOf(std::string_view(bytes).substr(0, kCheck), name_space, key), 8,
        bytes.data() + kCheck);
  return bytes;
}

std::optional<LeaseToken> ParseLeaseToken(std::string_view bytes, std::string_view name_space,
                                          std::string_view key, absl::Time now) {
  if (bytes.size() != LeaseToken::kSize || bytes[0] != kMagic) return std::nullopt;
  if (Read(bytes.substr(kCheck)) != CheckOf(bytes.substr(0, kCheck), name_space, key)) {
    return std::nullopt;
  }
  LeaseToken token;
  token.version.hlc = Read(bytes.substr(kHlc, 8));
  token.version.region = static_cast<uint16_t>(Read(bytes.substr(kRegion, 2)));
  const uint64_t end = Read(bytes.substr(kEnd, 8));
  if (!token.version.is_set() || end >> 48 != 0) return std::nullopt;
  token.expires_at = absl::FromUnixMillis(static_cast<int64_t>(end));
  // The clock may be ahead of the time by which the end was told.
  if (token.expires_at - token.version.time() > LeaseToken::kLongest ||
      token.version.time() - now > HybridClock::kMaxSkew ||
      token.expires_at - now > LeaseToken::kLongest + HybridClock::kMaxSkew) {
    return std::nullopt;
  }
  return token;
}

}  // namespace meridian

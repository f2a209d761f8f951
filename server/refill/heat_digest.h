// A HeatDigest names the keys of one slot that its owner's L1 answered most, hottest first, each
// with a weight. Nodes save one for each slot they own, so that the next owner knows what to read
// first (docs/adr/0026).
//
// Bytes (docs/wire.md repeats it): a format byte 1; then for each key a byte of weight, 1 to 63 and
//   never above the one before it, a byte of namespace size, two bytes of key size (little endian),
//   the namespace and the key.
// Promise: at most kMaxKeys keys and kMaxBytes bytes; every key is one that clients may name, is of
//   the slot, and stands there once. What is parsed is that or nothing: the bytes come from a store
//   that others may write.
// Cost: one string; a key is read where it stands. Thread safety: a value.

#ifndef MERIDIAN_SERVER_REFILL_HEAT_DIGEST_H_
#define MERIDIAN_SERVER_REFILL_HEAT_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/engine/entry.h"

namespace meridian {

struct HeatKey {
  std::string name_space;
  std::string key;
  uint8_t weight = 0;  // 1..HeatDigest::kMaxWeight.
};

class HeatDigest {
 public:
  static constexpr size_t kMaxKeys = 64;
  static constexpr size_t kMaxBytes = size_t{8} << 10;
  static constexpr uint8_t kMaxWeight = kMaxEntryHits;

  // One key, as it stands in the bytes. Views point into the digest.
  struct Item {
    std::string_view name_space;
    std::string_view key;
    uint8_t weight;
  };

  HeatDigest() : bytes_(1, kFormat) {}  // No key.

  // The hottest of `keys`, which are of one slot and each there once, in any order, that fit. What
  // has no weight is left out.
  static HeatDigest Of(std::vector<HeatKey> keys);

  // nullopt for anything that Of does not make for a slot of this number.
  static std::optional<HeatDigest> Parse(std::string_view bytes, uint32_t slot);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return keys_; }
  bool empty() const { return keys_ == 0; }
  // Of all keys together.
  uint32_t weight() const { return weight_; }

  // Where the keys stand: from First() on, until Next() is End().
  static constexpr size_t First() { return 1; }
  size_t End() const { return bytes_.size(); }
  Item At(size_t place) const;
  size_t Next(size_t place) const;

  // How much two digests of a slot say the same: 0 to 1; two without keys say the same.
  static double Overlap(const HeatDigest& a, const HeatDigest& b);

 private:
  static constexpr char kFormat = 1;

  std::string bytes_;
  uint32_t keys_ = 0;
  uint32_t weight_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_HEAT_DIGEST_H_

#include "server/refill/heat_digest.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/base/hash.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr size_t kItemHead = 4;  // Weight, size of the namespace, size of the key.

uint8_t ByteAt(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

using Name = std::pair<std::string_view, std::string_view>;

}  // namespace

HeatDigest HeatDigest::Of(std::vector<HeatKey> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const HeatKey& a, const HeatKey& b) { return a.weight > b.weight; });
  HeatDigest digest;
  for (const HeatKey& key : keys) {
    const size_t size = kItemHead + key.name_space.size() + key.key.size();
    if (key.weight == 0 || digest.keys_ == kMaxKeys) break;
    if (digest.bytes_.size() + size > kMaxBytes) continue;  // A smaller one may still fit.
    const uint8_t weight = std::min(key.weight, kMaxWeight);
    digest.bytes_.push_back(static_cast<char>(weight));
    digest.bytes_.push_back(static_cast<char>(key.name_space.size()));
    digest.bytes_.push_back(static_cast<char>(key.key.size() & 0xff));
    digest.bytes_.push_back(static_cast<char>(key.key.size() >> 8));
    digest.bytes_.append(key.name_space);
    digest.bytes_.append(key.key);
    ++digest.keys_;
    digest.weight_ += weight;
  }
  return digest;
}

std::optional<HeatDigest> HeatDigest::Parse(std::string_view bytes, uint32_t slot) {
  if (bytes.empty() || bytes.size() > kMaxBytes || bytes[0] != kFormat) return std::nullopt;
  HeatDigest digest;
  absl::flat_hash_set<Name> seen;
  uint8_t last = kMaxWeight;
  for (size_t place = First(); place < bytes.size();) {
    if (bytes.size() - place < kItemHead || digest.keys_ == kMaxKeys) return std::nullopt;
    const uint8_t weight = ByteAt(bytes, place);
    const size_t name_size = ByteAt(bytes, place + 1);
    const size_t key_size = ByteAt(bytes, place + 2) | size_t{ByteAt(bytes, place + 3)} << 8;
    place += kItemHead;
    if (weight == 0 || weight > last || bytes.size() - place < name_size + key_size) {
      return std::nullopt;
    }
    const std::string_view name_space = bytes.substr(place, name_size);
    const std::string_view key = bytes.substr(place + name_size, key_size);
    if (limits::CheckWritableNamespace(name_space) || limits::CheckKey(key, "")) {
      return std::nullopt;
    }
    if (SlotOf(name_space, key) != slot || !seen.insert({name_space, key}).second) {
      return std::nullopt;
    }
    place += name_size + key_size;
    last = weight;
    ++digest.keys_;
    digest.weight_ += weight;
  }
  digest.bytes_ = std::string(bytes);
  return digest;
}

HeatDigest::Item HeatDigest::At(size_t place) const {
  assert(place >= First() && place + kItemHead <= bytes_.size());
  const std::string_view bytes = bytes_;
  const size_t name_size = ByteAt(bytes, place + 1);
  const size_t key_size = ByteAt(bytes, place + 2) | size_t{ByteAt(bytes, place + 3)} << 8;
  return {bytes.substr(place + kItemHead, name_size),
          bytes.substr(place + kItemHead + name_size, key_size), ByteAt(bytes, place)};
}

size_t HeatDigest::Next(size_t place) const {
  const Item item = At(place);
  return place + kItemHead + item.name_space.size() + item.key.size();
}

double HeatDigest::Overlap(const HeatDigest& a, const HeatDigest& b) {
  const uint32_t larger = std::max(a.weight_, b.weight_);
  if (larger == 0) return 1;
  absl::flat_hash_map<Name, uint8_t> weights;
  for (size_t place = First(); place != a.End(); place = a.Next(place)) {
    const Item item = a.At(place);
    weights[{item.name_space, item.key}] = item.weight;
  }
  uint32_t same = 0;
  for (size_t place = First(); place != b.End(); place = b.Next(place)) {
    const Item item = b.At(place);
    const auto it = weights.find({item.name_space, item.key});
    if (it != weights.end()) same += std::min(it->second, item.weight);
  }
  return static_cast<double>(same) / larger;
}

}  // namespace meridian

#include "server/l2/cluster_slots.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/hash.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

// CRC-16/XMODEM, as the cluster specification says: polynomial 0x1021, nothing reflected.
constexpr std::array<uint16_t, 256> kCrcTable = [] {
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
    table[byte] = static_cast<uint16_t>(crc);
  }
  return table;
}();

uint16_t Crc16(std::string_view bytes) {
  uint32_t crc = 0;
  for (const char c : bytes) {
    crc = (crc << 8 ^ kCrcTable[(crc >> 8 ^ static_cast<unsigned char>(c)) & 0xff]) & 0xffff;
  }
  return static_cast<uint16_t>(crc);
}

absl::Status Malformed() {
  return absl::InternalError("CLUSTER SLOTS was answered with something unexpected");
}

absl::StatusOr<RedisAddress> ParseNode(const Reply& node, const RedisAddress& asked) {
  if (node.elements.size() < 2 || node.elements[1].type != Reply::Type::kInteger) {
    return Malformed();
  }
  const int64_t port = node.elements[1].integer;
  if (port < 1 || port > 65535) return Malformed();
  const std::string_view host = node.elements[0].text();
  // "?": a server that does not know its own name.
  return RedisAddress{host.empty() || host == "?" ? asked.host : std::string(host),
                      static_cast<uint16_t>(port)};
}

}  // namespace

uint16_t RedisHashSlot(std::string_view key) {
  if (const size_t open = key.find('{'); open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return Crc16(key) % kRedisSlotCount;
}

uint16_t RedisHashSlotOf(uint32_t slot) {
  static const std::vector<uint16_t> slots = [] {
    std::vector<uint16_t> all;
    for (uint32_t i = 0; i < kSlotCount; ++i) all.push_back(RedisHashSlot(absl::StrCat(i)));
    return all;
  }();
  return slots[slot];
}

absl::StatusOr<SlotTable> SlotTable::Parse(const Reply& reply, const RedisAddress& asked) {
  RETURN_IF_ERROR(StatusOfReply(reply));
  if (!reply.is_array()) return Malformed();
  struct Range {
    size_t first;
    size_t last;
    RedisAddress primary;
    std::vector<RedisAddress> replicas;
  };
  std::vector<Range> ranges;
  std::map<RedisAddress, uint16_t> index_of;
  std::vector<bool> named(kRedisSlotCount, false);
  std::set<RedisAddress> servers;
  for (const Reply& range : reply.elements) {
    if (range.elements.size() < 3) return Malformed();
    const int64_t first = range.elements[0].integer;
    const int64_t last = range.elements[1].integer;
    if (first < 0 || last < first || last >= static_cast<int64_t>(kRedisSlotCount)) {
      return Malformed();
    }
    for (auto slot = static_cast<size_t>(first); slot <= static_cast<size_t>(last); ++slot) {
      if (named[slot]) return Malformed();
      named[slot] = true;
    }
    ASSIGN_OR_RETURN(RedisAddress primary, ParseNode(range.elements[2], asked));
    index_of.emplace(primary, 0);
    servers.insert(primary);
    std::vector<RedisAddress> replicas;
    for (size_t i = 3; i < range.elements.size(); ++i) {
      ASSIGN_OR_RETURN(RedisAddress replica, ParseNode(range.elements[i], asked));
      servers.insert(replica);
      replicas.push_back(std::move(replica));
      if (servers.size() > kMaxServers) return Malformed();
    }
    if (index_of.size() > kMaxPrimaries) return Malformed();
    ranges.push_back({static_cast<size_t>(first), static_cast<size_t>(last), std::move(primary),
                      std::move(replicas)});
  }
  SlotTable table;
  for (auto& [address, index] : index_of) {
    index = static_cast<uint16_t>(table.primaries_.size());
    table.primaries_.push_back(address);
  }
  table.replicas_.resize(table.primaries_.size());
  for (Range& range : ranges) {
    table.replicas_[index_of[range.primary]] = std::move(range.replicas);
    std::fill(table.primary_of_.begin() + static_cast<ptrdiff_t>(range.first),
              table.primary_of_.begin() + static_cast<ptrdiff_t>(range.last) + 1,
              index_of[range.primary]);
  }
  return table;
}

size_t SlotTable::covered_slots() const {
  return kRedisSlotCount -
         static_cast<size_t>(std::count(primary_of_.begin(), primary_of_.end(), kNobody));
}

uint64_t SlotTable::Fingerprint() const {
  std::string bytes(reinterpret_cast<const char*>(primary_of_.data()),
                    primary_of_.size() * sizeof(uint16_t));
  for (const RedisAddress& primary : primaries_) absl::StrAppend(&bytes, primary.text(), ",");
  return Hash64(bytes);
}

SlotTable SlotTable::With(uint16_t slot, const RedisAddress& primary) const {
  SlotTable table = *this;
  auto at = std::lower_bound(table.primaries_.begin(), table.primaries_.end(), primary);
  const auto index = static_cast<uint16_t>(at - table.primaries_.begin());
  if (at == table.primaries_.end() || *at != primary) {
    table.primaries_.insert(at, primary);
    table.replicas_.insert(table.replicas_.begin() + index, std::vector<RedisAddress>());
    for (uint16_t& other : table.primary_of_) {
      if (other != kNobody && other >= index) ++other;
    }
  }
  table.primary_of_[slot] = index;
  return table;
}

std::optional<Redirect> ParseRedirect(std::string_view error, const RedisAddress& asked) {
  const std::vector<absl::string_view> words = absl::StrSplit(ToAbsl(error), ' ');
  if (words.size() < 3 || (words[0] != "MOVED" && words[0] != "ASK")) return std::nullopt;
  // The port follows the last colon: an IPv6 host has some of its own.
  const size_t colon = words[2].rfind(':');
  uint32_t slot = 0;
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(words[1], &slot) ||
      slot >= kRedisSlotCount || !absl::SimpleAtoi(words[2].substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return std::nullopt;
  }
  const absl::string_view host = words[2].substr(0, colon);
  return Redirect{words[0] == "ASK",
                  static_cast<uint16_t>(slot),
                  {host.empty() ? asked.host : std::string(host), static_cast<uint16_t>(port)}};
}

}  // namespace meridian

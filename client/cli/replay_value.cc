#include "client/cli/replay_value.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "client/cli/replay_random.h"

namespace meridian::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "the layout is little endian");

struct Header {
  uint32_t run;
  uint32_t generation;
  uint32_t size;
  uint32_t check;
};
static_assert(sizeof(Header) == kSmallestReplayValue);

uint64_t SeedOf(uint64_t key_hash, const Header& header) {
  const uint64_t stamp = uint64_t{header.run} << 32 | header.generation;
  return Mix64(key_hash ^ Mix64(stamp ^ Mix64(header.size + 1)));
}

// Calls `visit(offset, bytes, count)` for the pseudo-random bytes behind the header, 8 at a time.
template <typename Visit>
bool ForFill(uint64_t seed, size_t size, Visit visit) {
  uint64_t word = seed;
  for (size_t offset = sizeof(Header); offset < size; offset += 8) {
    word = Mix64(word + 0x9E3779B97F4A7C15u);
    if (!visit(offset, &word, std::min<size_t>(8, size - offset))) return false;
  }
  return true;
}

}  // namespace

std::string MakeReplayValue(uint64_t key_hash, ReplayStamp stamp, uint32_t size) {
  Header header{stamp.run, stamp.generation, std::max(size, kSmallestReplayValue), 0};
  const uint64_t seed = SeedOf(key_hash, header);
  header.check = static_cast<uint32_t>(seed);
  std::string value(header.size, '\0');
  std::memcpy(value.data(), &header, sizeof(header));
  ForFill(seed, value.size(), [&](size_t offset, const uint64_t* word, size_t count) {
    std::memcpy(value.data() + offset, word, count);
    return true;
  });
  return value;
}

std::optional<ReplayStamp> CheckReplayValue(uint64_t key_hash, std::string_view value) {
  Header header;
  if (value.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, value.data(), sizeof(header));
  const uint64_t seed = SeedOf(key_hash, header);
  if (header.size != value.size() || header.check != static_cast<uint32_t>(seed)) {
    return std::nullopt;
  }
  const bool whole =
      ForFill(seed, value.size(), [&](size_t offset, const uint64_t* word, size_t count) {
        return std::memcmp(value.data() + offset, word, count) == 0;
      });
  if (!whole) return std::nullopt;
  return ReplayStamp{header.run, header.generation};
}

}  // namespace meridian::cli

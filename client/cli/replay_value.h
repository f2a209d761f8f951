// The values that a replay writes: made from key, generation and size, so that a value that comes
// back can be checked to the last byte without being remembered.
//
// Layout, little endian: run (4 bytes), generation (4), size (4), check (4), then pseudo-random
// bytes; check and bytes are functions of the key, the three numbers before, and nothing else.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_VALUE_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_VALUE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace meridian::cli {

// Smaller values are written with so many bytes.
inline constexpr uint32_t kSmallestReplayValue = 16;

struct ReplayStamp {
  uint32_t run = 0;         // Random, differs from one replay to the next.
  uint32_t generation = 0;  // Of the key: 1, 2, ...
};

// A value of `size` bytes (at least kSmallestReplayValue) for the key with this hash.
std::string MakeReplayValue(uint64_t key_hash, ReplayStamp stamp, uint32_t size);

// The stamp of a value that MakeReplayValue made for this key; nullopt when a byte, the length or
// the key is wrong.
std::optional<ReplayStamp> CheckReplayValue(uint64_t key_hash, std::string_view value);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_VALUE_H_

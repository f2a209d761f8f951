// meridian-engine-memory fills an engine and prints, as one line of JSON, what an entry takes
// beyond the bytes of its key and its value, by the resident memory of this process: scripts/bench
// memory runs it.
//
//   meridian-engine-memory ENTRIES VALUE_BYTES [POLICY]
//
// Keys have 16 bytes. The engine is full: it has room for ENTRIES, and four times as many keys are
// asked for and put when they are not there, so that what its policy remembers of what left is
// there too. The process holds nothing else, and makes keys and values one at a time.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/hash.h"
#include "common/engine/engine.h"
#include "common/engine/eviction_policy.h"

namespace meridian {
namespace {

constexpr size_t kKeyBytes = 16;
constexpr size_t kKeysOfAnEntry = 4;

// Resident bytes of this process that are its own.
size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  size_t shared = 0;
  file >> total >> resident >> shared;
  return (resident - shared) * 4096;
}

int Run(size_t entries, size_t value_bytes, const std::string& policy) {
  const size_t before = ResidentBytes();
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Create({.capacity_bytes = size_t{16} << 30,
                      .capacity_entries = entries,
                      .shard_bits = EngineOptions::ShardBitsFor(
                          size_t{16} << 30, entries, std::thread::hardware_concurrency()),
                      .policy = policy,
                      .hash_seed = 7});
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 1;
  }
  const NamespaceId name_space = *(*engine)->InternNamespace("bench");
  const std::string value(value_bytes, 'v');
  for (size_t i = 0; i < kKeysOfAnEntry * entries; ++i) {
    char text[32];
    std::snprintf(text, sizeof(text), "user:%011zu", i);
    const std::string_view key = text;
    const EntryKey entry_key = {name_space, SlotOf("bench", key),
                                (*engine)->HashOf(name_space, key), key};
    Entry entry;
    if ((*engine)->Get(entry_key, absl::ZeroDuration(), &entry)) continue;
    entry = {.value = Buffer::CopyOf(value),
             .version = {i + 1, 1},
             .expires_at = absl::Seconds(60 + i % 3600),
             .raw_size = static_cast<uint32_t>(value_bytes)};
    (*engine)->Put(entry_key, std::move(entry), absl::ZeroDuration());
  }
  const double resident = static_cast<double>(ResidentBytes() - before);
  const double data = static_cast<double>((*engine)->entries() * (kKeyBytes + value_bytes));
  const double count = static_cast<double>((*engine)->entries());
  std::printf(
      "{\"entries\": %zu, \"data_bytes\": %.0f, \"rss_bytes\": %.0f, \"charged_bytes\": %zu, "
      "\"overhead_bytes\": %.2f, \"rss_per_charged\": %.4f}\n",
      (*engine)->entries(), data, resident, (*engine)->bytes(), (resident - data) / count,
      resident / static_cast<double>((*engine)->bytes()));
  return (*engine)->entries() == entries ? 0 : 1;
}

bool Parse(const char* text, size_t* number) {
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, *number);
  return error == std::errc() && stop == end;
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) {
  size_t entries = 0;
  size_t value_bytes = 0;
  const std::string policy = argc == 4 ? argv[3] : "adaptive";
  const std::vector<std::string> known = meridian::EvictionPolicyNames();
  if (argc < 3 || argc > 4 || !meridian::Parse(argv[1], &entries) || entries == 0 ||
      !meridian::Parse(argv[2], &value_bytes) ||
      std::find(known.begin(), known.end(), policy) == known.end()) {
    std::fprintf(stderr, "usage: meridian-engine-memory ENTRIES VALUE_BYTES [POLICY]\npolicies:");
    for (const std::string& name : known) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  return meridian::Run(entries, value_bytes, policy);
}

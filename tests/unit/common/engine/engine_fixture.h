// What the tests of the engine share: an engine, and short ways to name keys and entries.

#ifndef MERIDIAN_TESTS_UNIT_COMMON_ENGINE_ENGINE_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_COMMON_ENGINE_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/hash.h"
#include "common/engine/engine.h"

namespace meridian {

inline std::unique_ptr<Engine> MakeEngine(EngineOptions options) {
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create(std::move(options));
  if (!engine.ok()) {
    ADD_FAILURE() << engine.status();
    return nullptr;
  }
  return *std::move(engine);
}

// `key` must outlive the result.
inline EntryKey KeyOf(Engine& engine, std::string_view name_space, std::string_view key) {
  const std::optional<NamespaceId> id = engine.InternNamespace(name_space);
  if (!id.has_value()) {
    ADD_FAILURE() << "no room for namespace " << name_space;
    return {};
  }
  return {*id, SlotOf(name_space, key), engine.HashOf(*id, key), key};
}

inline Version V(uint64_t hlc, uint16_t region = 1) { return {hlc, region}; }

inline Entry MakeEntry(std::string_view value, Version version,
                       absl::Duration expires_at = absl::Hours(1)) {
  return {.value = Buffer::CopyOf(value),
          .version = version,
          .expires_at = expires_at,
          .raw_size = static_cast<uint32_t>(value.size())};
}

inline EngineCounters CountersOf(const Engine& engine, std::string_view name_space) {
  for (const NamespaceEngineStats& stats : engine.Stats()) {
    if (stats.name_space == name_space) return stats.counters;
  }
  return {};
}

// EngineCounters' invariant, and that the sums are what the engine says.
inline void ExpectConsistent(const Engine& engine) {
  size_t bytes = 0;
  size_t entries = 0;
  for (const NamespaceEngineStats& stats : engine.Stats()) {
    const EngineCounters& counters = stats.counters;
    uint64_t gone = counters.erases;
    for (const uint64_t evicted : counters.evictions) gone += evicted;
    EXPECT_EQ(counters.puts + counters.fills, gone + counters.entries) << stats.name_space;
    bytes += counters.bytes;
    entries += counters.entries;
  }
  EXPECT_EQ(engine.bytes(), bytes);
  EXPECT_EQ(engine.entries(), entries);
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_COMMON_ENGINE_ENGINE_FIXTURE_H_

// NearCache holds values that other nodes own, and serves one only while it can be sure of it:
// while the owner's Watch stream tells every change of the slot (docs/adr/0017).
//
// Promise: a value is served only if all changes of its slot until `silence` ago are known here, and
//   none was newer. It was answered by the very process whose stream is followed, to a request that
//   was sent while the slot was followed already, and no change of the key came in between. Slots
//   stand alone: what happens to one leaves the hits on others.
// Cost: Get is three loads and a look into the Engine, no allocation. Memory is the Engine's bound.
// Thread safety: all methods may be called concurrently; Attach, Detach and Heard of one source by
//   one thread at a time.

#ifndef MERIDIAN_COMMON_NEAR_NEAR_CACHE_H_
#define MERIDIAN_COMMON_NEAR_NEAR_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/hash.h"
#include "common/base/version.h"
#include "common/engine/engine.h"
#include "common/telemetry/counter.h"

namespace meridian {

struct NearCacheOptions {
  size_t capacity_bytes = size_t{16} << 20;
  absl::Duration max_ttl = absl::Minutes(1);  // No value stays longer, whatever its TTL.
  // What is not known to be good until then is not served.
  absl::Duration silence = absl::Seconds(3);
  uint64_t hash_seed = 0;

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

// Counts since start.
struct NearCacheStats {
  uint64_t hits = 0;
  uint64_t silent = 0;   // Looks into slots whose stream was not heard of for too long, or not yet
                         // since the caller's own change (Hold).
  uint64_t fills = 0;    // Values that were kept.
  uint64_t refused = 0;  // Values that were not: overtaken, or not of the process that is followed.
  uint64_t changes = 0;  // Told by streams.
  uint64_t slot_drops = 0;  // Slots whose values were all given up.
  uint32_t attached = 0;    // Slots that are followed now.
};

class NearCache {
 public:
  // A stream that tells of slots: one a node. 0 is none.
  using Source = uint16_t;
  static constexpr Source kNoSource = 0;
  static constexpr size_t kMaxSources = 1024;

  // What was known of a key when a request for it was sent.
  struct Token {
    FillToken fill;
    Source source = kNoSource;
  };

  static absl::StatusOr<std::unique_ptr<NearCache>> Create(NearCacheOptions options);

  // The key as the engine wants it. False when there are too many namespaces: then nothing of this
  // one is kept.
  bool Locate(std::string_view name_space, std::string_view key, EntryKey* located);

  // Copies the value to `*entry`, or returns false.
  bool Get(const EntryKey& key, absl::Duration now, Entry* entry);

  // As Get, but counts nothing and leaves the order of eviction alone.
  bool Peek(const EntryKey& key, absl::Duration now, Entry* entry) const;

  // BeginFill before the request for the key is sent, Fill with what was answered. `incarnation` is
  // that of the process that answered (0: it does not say that the value may be kept). `ttl` is the
  // answer's. kStored: the value is kept. kOvertaken: also when the slot is not followed any more.
  Token BeginFill(const EntryKey& key) const;
  PutOutcome PutFill(const EntryKey& key, Entry entry, absl::Duration ttl, uint64_t incarnation,
                     absl::Duration now, Token token);
  bool Fill(const EntryKey& key, Entry entry, absl::Duration ttl, uint64_t incarnation,
            absl::Duration now, Token token) {
    return PutFill(key, std::move(entry), ttl, incarnation, now, token) == PutOutcome::kStored;
  }

  // The caller itself has written the key, or may have (with no version).
  void Wrote(const EntryKey& key, Version version);

  // The caller has changed something of the namespace until `now` that it cannot name as the
  // streams do. What is here of it is served where they have told all changes until then.
  void Hold(std::string_view name_space, absl::Duration now);

  // --- For those who follow the streams.

  // A number for a new stream's node; kNoSource when all are taken.
  Source NewSource();
  // The source's stream tells every change of the slot from now on.
  void Attach(uint32_t slot, Source source);
  // It does not any more; nothing of the slot is good. Nothing happens when another source has been
  // attached meanwhile.
  void Detach(uint32_t slot, Source source);
  // Changes may have been lost; what comes from now on is told.
  void Gap(uint32_t slot);
  // All changes before `complete` were told; the process that tells them is `incarnation`.
  void Heard(Source source, uint64_t incarnation, absl::Duration complete);
  void Changed(uint32_t slot, std::string_view name_space, std::string_view key, Version version);
  void Fenced(std::string_view name_space, FenceScope scope, std::string_view name,
              Version version);

  // Frees what has expired; call it now and then.
  void Advance(absl::Duration now);

  // Whether the slot is served now.
  bool Serves(uint32_t slot, absl::Duration now) const;
  NearCacheStats Stats() const;
  size_t bytes() const { return engine_->bytes(); }
  size_t entries() const { return engine_->entries(); }

 private:
  struct SourceState {
    std::atomic<int64_t> complete_ns{0};
    std::atomic<uint64_t> incarnation{0};
  };

  NearCache(NearCacheOptions options, std::unique_ptr<Engine> engine)
      : options_(options),
        silence_ns_(absl::ToInt64Nanoseconds(options.silence)),
        engine_(std::move(engine)) {}
  void Drop(uint32_t slot);
  // Whether what is here of the key's slot and namespace is served now.
  bool ServesKey(const EntryKey& key, absl::Duration now) const;

  const NearCacheOptions options_;
  const int64_t silence_ns_;
  const std::unique_ptr<Engine> engine_;
  std::array<std::atomic<Source>, kSlotCount> source_of_ = {};
  std::array<SourceState, kMaxSources> sources_;
  // By the namespace's id: when the caller changed something that only the streams can name.
  std::array<std::atomic<int64_t>, Engine::kMaxNamespaces + 1> held_ns_ = {};
  std::atomic<uint32_t> next_source_{1};
  // Every read counts one of these: each thread in a cache line of its own.
  Counter hits_;
  Counter silent_;
  std::atomic<uint64_t> fills_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> changes_{0};
  std::atomic<uint64_t> slot_drops_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_NEAR_NEAR_CACHE_H_

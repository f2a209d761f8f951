// NearCache: what may be kept, what is served, and what makes it go.

#include "common/near/near_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/engine/tag_list.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

constexpr uint64_t kIncarnation = 7;

class NearCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    cache_ = *NearCache::Create({.capacity_bytes = 4 << 20, .max_ttl = absl::Seconds(30)});
    source_ = cache_->NewSource();
    ASSERT_NE(source_, NearCache::kNoSource);
    Hear();
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) cache_->Attach(slot, source_);
  }

  absl::Duration Now() const { return clock_.Monotonic(); }
  void Hear() { cache_->Heard(source_, kIncarnation, Now()); }
  EntryKey KeyOf(std::string_view key) {
    EntryKey located;
    EXPECT_TRUE(cache_->Locate("task", key, &located));
    return located;
  }
  static Entry ValueOf(std::string_view value, uint64_t hlc, std::string tags = "") {
    Entry entry;
    entry.value = Buffer::CopyOf(value);
    entry.version = {hlc, 1};
    entry.raw_size = static_cast<uint32_t>(value.size());
    entry.tags = Buffer::CopyOf(tags);
    return entry;
  }
  bool Keep(std::string_view key, std::string_view value, uint64_t hlc,
            absl::Duration ttl = absl::Hours(1), std::string tags = "") {
    const EntryKey located = KeyOf(key);
    const NearCache::Token token = cache_->BeginFill(located);
    return cache_->Fill(located, ValueOf(value, hlc, tags), ttl, kIncarnation, Now(), token);
  }
  // The value, or "-".
  std::string Get(std::string_view key) {
    Entry entry;
    if (!cache_->Get(KeyOf(key), Now(), &entry)) return "-";
    return std::string(entry.value.view());
  }

  FakeClock clock_;
  std::unique_ptr<NearCache> cache_;
  NearCache::Source source_ = NearCache::kNoSource;
};

// The caller has done what it cannot name: the streams tell it.
TEST_F(NearCacheTest, WhatIsHeldIsServedWhenItsSourceHasToldAllUntilThen) {
  const NearCache::Source other = cache_->NewSource();
  cache_->Heard(other, kIncarnation, Now());
  const uint32_t slot = KeyOf("b").slot;
  ASSERT_NE(slot, KeyOf("a").slot);
  cache_->Attach(slot, other);
  ASSERT_TRUE(Keep("a", "1", 10));
  ASSERT_TRUE(Keep("b", "2", 10));
  clock_.Advance(absl::Milliseconds(5));
  cache_->Hold("another", Now());
  EXPECT_EQ(Get("a"), "1") << "namespaces stand alone";
  cache_->Hold("task", Now());
  EXPECT_EQ(Get("a"), "-");
  EXPECT_EQ(Get("b"), "-");
  Entry entry;
  EXPECT_FALSE(cache_->Peek(KeyOf("a"), Now(), &entry));

  cache_->Changed(KeyOf("a").slot, "task", "a", {11, 1});
  Hear();
  EXPECT_EQ(Get("a"), "-") << "it was what had changed";
  EXPECT_EQ(Get("b"), "-") << "its owner has told nothing yet";
  cache_->Heard(other, kIncarnation, Now() - absl::Milliseconds(1));
  EXPECT_EQ(Get("b"), "-");
  cache_->Heard(other, kIncarnation, Now());
  EXPECT_EQ(Get("b"), "2") << "it is not thrown away";
  EXPECT_TRUE(Keep("a", "3", 12));
  EXPECT_EQ(Get("a"), "3");
  cache_->Hold("task", Now() - absl::Seconds(1));
  EXPECT_EQ(Get("a"), "3") << "a hold of before changes nothing";
}

// However many threads the machine has, and so shards.
TEST_F(NearCacheTest, AValueOfThreeSixteenthsOfTheCacheIsKept) {
  cache_ = *NearCache::Create({.capacity_bytes = 16 << 20, .max_ttl = absl::Seconds(30)});
  source_ = cache_->NewSource();
  Hear();
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) cache_->Attach(slot, source_);
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(Keep("large", large, 10));
  EXPECT_EQ(Get("large").size(), large.size());
}

TEST_F(NearCacheTest, AValueIsServedUntilAChangeOfItsKey) {
  ASSERT_TRUE(Keep("a", "1", 10));
  ASSERT_TRUE(Keep("b", "2", 10));
  EXPECT_EQ(Get("a"), "1");
  cache_->Changed(KeyOf("a").slot, "task", "a", {10, 1});  // Its own write.
  EXPECT_EQ(Get("a"), "1");
  cache_->Changed(KeyOf("a").slot, "task", "a", {11, 1});
  EXPECT_EQ(Get("a"), "-");
  EXPECT_EQ(Get("b"), "2");
}

TEST_F(NearCacheTest, AnAnswerThatAChangeHasOvertakenIsNotKept) {
  const EntryKey key = KeyOf("a");
  const NearCache::Token token = cache_->BeginFill(key);
  cache_->Changed(key.slot, "task", "a", {11, 1});
  EXPECT_FALSE(cache_->Fill(key, ValueOf("old", 10), absl::Hours(1), kIncarnation, Now(), token));
  EXPECT_EQ(Get("a"), "-");
  EXPECT_EQ(cache_->Stats().refused, 1);
}

TEST_F(NearCacheTest, AnAnswerOfAnotherProcessOrFromBeforeTheStreamIsNotKept) {
  const EntryKey key = KeyOf("a");
  NearCache::Token token = cache_->BeginFill(key);
  for (const uint64_t incarnation : {uint64_t{0}, kIncarnation + 1}) {
    EXPECT_FALSE(cache_->Fill(key, ValueOf("1", 10), absl::Hours(1), incarnation, Now(), token));
  }
  cache_->Detach(key.slot, source_);
  EXPECT_FALSE(cache_->Fill(key, ValueOf("1", 10), absl::Hours(1), kIncarnation, Now(), token));
  const NearCache::Token before = cache_->BeginFill(key);
  cache_->Attach(key.slot, source_);
  EXPECT_FALSE(cache_->Fill(key, ValueOf("1", 10), absl::Hours(1), kIncarnation, Now(), token));
  EXPECT_FALSE(cache_->Fill(key, ValueOf("1", 10), absl::Hours(1), kIncarnation, Now(), before));
  EXPECT_TRUE(Keep("a", "1", 10));
}

TEST_F(NearCacheTest, SilenceStopsServingAndEndsWithoutALoss) {
  ASSERT_TRUE(Keep("a", "1", 10));
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(Get("a"), "1");
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Get("a"), "-");
  EXPECT_EQ(cache_->Stats().silent, 1);
  Hear();
  EXPECT_EQ(Get("a"), "1") << "the stream has told everything";
}

TEST_F(NearCacheTest, GapsAndMovesTakeTheirSlotAndNoOther) {
  ASSERT_TRUE(Keep("a", "1", 10));
  ASSERT_TRUE(Keep("b", "2", 10));
  ASSERT_NE(KeyOf("a").slot, KeyOf("b").slot);
  cache_->Gap(KeyOf("a").slot);
  EXPECT_EQ(Get("a"), "-");
  EXPECT_EQ(Get("b"), "2");
  ASSERT_TRUE(Keep("a", "1", 10)) << "it is followed all the same";
  const NearCache::Source other = cache_->NewSource();
  cache_->Heard(other, kIncarnation + 1, Now());
  cache_->Attach(KeyOf("a").slot, other);
  EXPECT_EQ(Get("a"), "-");
  cache_->Detach(KeyOf("a").slot, source_);  // Late news of the old owner.
  EXPECT_TRUE(cache_->Serves(KeyOf("a").slot, Now()));
  EXPECT_EQ(Get("b"), "2");
}

TEST_F(NearCacheTest, FencesKillWhatTheyCoverAndOnlyThat) {
  const std::string tags = EncodeTags({"project:7"});
  ASSERT_TRUE(Keep("user:1:a", "1", 10));
  ASSERT_TRUE(Keep("user:2:a", "2", 10, absl::Hours(1), tags));
  ASSERT_TRUE(Keep("plain", "3", 10));
  cache_->Fenced("task", FenceScope::kPrefix, "user:1:", {11, 1});
  EXPECT_EQ(Get("user:1:a"), "-");
  EXPECT_EQ(Get("user:2:a"), "2");
  cache_->Fenced("task", FenceScope::kTag, "project:7", {11, 1});
  EXPECT_EQ(Get("user:2:a"), "-");
  EXPECT_EQ(Get("plain"), "3");
  ASSERT_TRUE(Keep("user:1:a", "new", 12));
  EXPECT_EQ(Get("user:1:a"), "new");
  Keep("user:2:a", "old", 9, absl::Hours(1), tags);  // An answer from before the fence.
  EXPECT_EQ(Get("user:2:a"), "-");
  cache_->Fenced("other", FenceScope::kNamespace, "", {20, 1});
  EXPECT_EQ(Get("plain"), "3");
  cache_->Fenced("task", FenceScope::kPrefix, "no colon",
                 {20, 1});  // What cannot be fenced exactly.
  EXPECT_EQ(Get("plain"), "-");
}

TEST_F(NearCacheTest, OwnWritesTakeTheirKeyAtOnce) {
  ASSERT_TRUE(Keep("a", "1", 10));
  cache_->Wrote(KeyOf("a"), {11, 1});
  EXPECT_EQ(Get("a"), "-");
  ASSERT_TRUE(Keep("a", "2", 11));
  cache_->Wrote(KeyOf("a"), {});  // Nobody knows whether it was done.
  EXPECT_EQ(Get("a"), "-");
}

TEST_F(NearCacheTest, NoValueOutlivesItsTtlOrTheLimit) {
  ASSERT_TRUE(Keep("short", "1", 10, absl::Seconds(1)));
  ASSERT_TRUE(Keep("long", "2", 10));
  EXPECT_FALSE(Keep("over", "3", 10, absl::ZeroDuration()));
  for (int i = 0; i < 29; ++i) {
    clock_.Advance(absl::Seconds(1));
    Hear();
    EXPECT_EQ(Get("short"), "-");
    EXPECT_EQ(Get("long"), "2");
  }
  clock_.Advance(absl::Seconds(1));
  Hear();
  EXPECT_EQ(Get("long"), "-");
}

TEST_F(NearCacheTest, ItsMemoryIsBounded) {
  const std::string value(1000, 'x');
  for (uint64_t i = 0; i < 20'000; ++i) Keep(absl::StrCat("k", i), value, 10 + i);
  EXPECT_LE(cache_->bytes(), 4 << 20);
  EXPECT_GT(cache_->entries(), 1000);
}

TEST(NearCacheOptionsTest, BadOptionsNameTheField) {
  const auto message = [](const NearCacheOptions& options) {
    return std::string(options.Validate().message());
  };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.capacity_bytes = 10}).find("capacity_bytes"), std::string::npos);
  EXPECT_NE(message({.max_ttl = absl::ZeroDuration()}).find("max_ttl"), std::string::npos);
  EXPECT_NE(message({.silence = absl::Hours(1)}).find("silence"), std::string::npos);
}

}  // namespace
}  // namespace meridian

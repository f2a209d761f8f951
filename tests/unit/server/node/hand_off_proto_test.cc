// Entries that are handed over, on the wire and back; and what no node of ours sends.

#include "server/node/hand_off_proto.h"

#include <functional>
#include <string>

#include "common/base/version.h"
#include "common/engine/tag_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/node/heat_namespace.h"
#include "server/node/limits.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

HandOffItem Item() {
  return {.name_space = "task",
          .key = std::string("k\0\xff", 3),
          .value = Buffer::CopyOf("value"),
          .version = {.hlc = 77, .region = 3},
          .ttl = absl::Seconds(9),
          .heat = 12,
          .tags = EncodeTags({"blue", "red"}),
          .encoding = Encoding::kZlib,
          .raw_size = 500};
}

peer::v1::HandOffEntry Sent() {
  peer::v1::HandOffEntry proto;
  ToProto(Item(), &proto);
  return proto;
}

TEST(HandOffProtoTest, EverythingArrives) {
  ASSERT_FALSE(CheckHandOffEntry(Sent(), "entries[0]").has_value());
  const HandOffItem item = FromProto(Sent(), absl::ZeroDuration());
  EXPECT_EQ(item.name_space, Item().name_space);
  EXPECT_EQ(item.key, Item().key);
  EXPECT_EQ(item.value.view(), "value");
  EXPECT_EQ(item.version, Item().version);
  EXPECT_EQ(item.ttl, Item().ttl);
  EXPECT_EQ(item.heat, 12u);
  EXPECT_EQ(item.tags, Item().tags);
  EXPECT_EQ(item.encoding, Encoding::kZlib);
  EXPECT_EQ(item.raw_size, 500u);
}

TEST(HandOffProtoTest, TheWayTakesAsMuchOfALifeAsItTook) {
  FakeClock clock;
  const auto steady_ms = [&] { return absl::ToInt64Milliseconds(clock.Monotonic()); };
  clock.Advance(absl::Seconds(1000));
  peer::v1::HandOffRequest request;
  EXPECT_EQ(AgeOf(request, clock), absl::InfiniteDuration()) << "it does not say";
  request.set_receiver_steady_ms(static_cast<uint64_t>(steady_ms() - 2500));
  request.mutable_header()->set_wall_unix_ms(1);  // Does not matter.
  EXPECT_EQ(AgeOf(request, clock), absl::Milliseconds(2500));
  request.set_receiver_steady_ms(static_cast<uint64_t>(steady_ms() + 100'000));
  EXPECT_EQ(AgeOf(request, clock), absl::ZeroDuration()) << "of another process";
  EXPECT_EQ(FromProto(Sent(), absl::Milliseconds(2500)).ttl, Item().ttl - absl::Milliseconds(2500));
  EXPECT_LT(FromProto(Sent(), absl::Minutes(1)).ttl, absl::ZeroDuration());
  EXPECT_LT(FromProto(Sent(), absl::InfiniteDuration()).ttl, absl::ZeroDuration());
}

TEST(HandOffProtoTest, OfAnOlderReleaseTheWallClockCountsAndWhatItMayBeWrong) {
  FakeClock clock;
  constexpr absl::Duration kSkew = HybridClock::kMaxSkew;
  const auto age = [&](absl::Duration sender_shows_less) {
    peer::v1::HandOffRequest request;
    request.mutable_header()->set_wall_unix_ms(
        static_cast<uint64_t>(absl::ToUnixMillis(clock.Now() - sender_shows_less)));
    return AgeOf(request, clock);
  };
  EXPECT_EQ(age(absl::ZeroDuration()), kSkew);
  EXPECT_EQ(age(absl::Seconds(3)), kSkew + absl::Seconds(3));
  EXPECT_EQ(age(-kSkew + absl::Seconds(2)), absl::Seconds(2)) << "ahead, and two seconds ago";
  EXPECT_EQ(age(-kSkew - absl::Seconds(1)), absl::InfiniteDuration()) << "no clock to go by";
  peer::v1::HandOffEntry entry = Sent();
  entry.set_ttl_ms(600'000);
  EXPECT_EQ(FromProto(entry, age(absl::Seconds(3))).ttl, absl::Seconds(600 - 3) - kSkew);
}

TEST(HandOffProtoTest, WhatNoNodeSendsIsRefusedWithItsField) {
  const struct {
    std::string field;
    std::function<void(peer::v1::HandOffEntry*)> damage;
  } cases[] = {
      {"namespace", [](auto* entry) { entry->set_namespace_("NO"); }},
      {"namespace", [](auto* entry) { entry->set_namespace_(std::string(kHeatNamespace)); }},
      {"key", [](auto* entry) { entry->set_key(""); }},
      {"key", [](auto* entry) { entry->set_key(std::string(2000, 'k')); }},
      {"value", [](auto* entry) { entry->set_value(std::string((8 << 20) + 1, 'v')); }},
      {"version", [](auto* entry) { entry->clear_version(); }},
      {"version", [](auto* entry) { entry->mutable_version()->set_region(70'000); }},
      {"ttl_ms", [](auto* entry) { entry->set_ttl_ms(0); }},
      {"ttl_ms", [](auto* entry) { entry->set_ttl_ms(uint64_t{366} * 24 * 3600 * 1000); }},
      {"encoding", [](auto* entry) { entry->clear_encoding(); }},
      {"raw_size", [](auto* entry) { entry->set_raw_size(uint64_t{1} << 40); }},
      {"raw_size", [](auto* entry) { entry->set_encoding(cache::v1::ENCODING_IDENTITY); }},
      {"tags", [](auto* entry) { entry->add_tags(std::string(2000, 't')); }},
      {"tags",
       [](auto* entry) {
         for (int i = 0; i < 1000; ++i) entry->add_tags("t");
       }},
  };
  for (const auto& one : cases) {
    peer::v1::HandOffEntry proto = Sent();
    one.damage(&proto);
    const std::optional<Error> error = CheckHandOffEntry(proto, "entries[7]");
    ASSERT_TRUE(error.has_value()) << one.field;
    EXPECT_THAT(error->details.field, HasSubstr(one.field));
  }
}

}  // namespace
}  // namespace meridian

#include "server/node/record.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(const Record& record) {
  std::string bytes;
  AppendRecord(record, &bytes);
  return bytes;
}

Record Sample() {
  Record record;
  record.version = Version{(uint64_t{0x018f00112233} << 16) | 0x0007, 0xbeef};
  record.expires_at = absl::FromUnixMillis(0x018f00abcdef);
  record.value = "hello";
  return record;
}

// Stored data depends on these bytes. A change here is a change of the format: don't.
TEST(RecordTest, GoldenBytes) {
  const std::string tags = EncodeTags({"a", "user:7"});
  Record record = Sample();
  record.tags = tags;
  std::string expected = "018f001122330007beef018f00abcdefV1";
  expected += std::string("\x05\x00\x00\x00", 4);
  expected += std::string("\x5c\x62\xac\xbd", 4);
  expected += std::string(
      "\x0b\x00\x01\x00"
      "a\x06\x00"
      "user:7"
      "hello",
      18);
  EXPECT_EQ(Bytes(record), expected);
}

TEST(RecordTest, GoldenBytesOfATouchedValue) {
  Record record = Sample();
  record.written = (uint64_t{0x018f00112200} << 16) | 0x0003;
  std::string touched = Bytes(record);
  record.written = 0;
  std::string expected = Bytes(record) + "018f001122000003";
  expected[32] = 'U';
  EXPECT_EQ(touched, expected);
  const absl::StatusOr<Record> parsed = ParseRecord(touched);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->written, (uint64_t{0x018f00112200} << 16) | 0x0003);
  EXPECT_EQ(parsed->kind, RecordKind::kValue);
  EXPECT_EQ(parsed->value, "hello");
  touched.back() = 'x';
  EXPECT_THAT(ParseRecord(touched).status().message(), HasSubstr("clock of its write"));
  EXPECT_FALSE(ParseRecord(expected.substr(0, 50)).ok());
}

TEST(RecordTest, GoldenBytesOfATombstone) {
  Record record = Sample();
  record.kind = RecordKind::kTombstone;
  record.value = "";
  std::string expected = "018f001122330007beef018f00abcdefT1";
  expected += std::string(
      "\x00\x00\x00\x00"
      "\x05\x55\x28\x1f"
      "\x00\x00",
      10);
  EXPECT_EQ(Bytes(record), expected);
}

TEST(RecordTest, ParseReturnsWhatWasAppendedForAnyBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string value(random() % 300, '\0');
    for (char& c : value) c = static_cast<char>(random());
    std::vector<std::string> tags(random() % 4);
    for (std::string& tag : tags) tag.assign(random() % 20, static_cast<char>(random()));
    const std::string encoded_tags = EncodeTags(tags);

    Record record;
    record.version =
        Version{(uint64_t{random()} << 32) | random(), static_cast<uint16_t>(random())};
    record.expires_at = absl::FromUnixMillis((uint64_t{random()} << 16 | random()) >> 1);
    record.kind = random() % 4 == 0 ? RecordKind::kTombstone : RecordKind::kValue;
    record.encoding = random() % 2 == 0 ? Encoding::kIdentity : Encoding::kZlib;
    if (record.kind == RecordKind::kValue) {
      record.value = value;
      if (random() % 3 == 0) record.written = 1 + random();
    }
    record.raw_size = record.encoding == Encoding::kZlib
                          ? static_cast<uint32_t>(random())
                          : static_cast<uint32_t>(record.value.size());
    record.tags = encoded_tags;

    const std::string bytes = Bytes(record);
    const absl::StatusOr<Record> parsed = ParseRecord(bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->version, record.version);
    EXPECT_EQ(parsed->expires_at, record.expires_at);
    EXPECT_EQ(parsed->kind, record.kind);
    EXPECT_EQ(parsed->encoding, record.encoding);
    EXPECT_EQ(parsed->raw_size, record.raw_size);
    EXPECT_EQ(parsed->value, record.value);
    EXPECT_EQ(DecodeTags(parsed->tags), tags);
  }
}

TEST(RecordTest, AppendKeepsWhatStandsBefore) {
  std::string bytes = "before";
  AppendRecord(Sample(), &bytes);
  EXPECT_EQ(bytes, "before" + Bytes(Sample()));
}

TEST(RecordTest, EveryTruncationIsRefused) {
  const std::string bytes = Bytes(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ParseRecord(std::string_view(bytes).substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
}

// Version and expiry may change (Touch) and are not covered by the checksum; any other flipped
// byte is found.
TEST(RecordTest, AFlippedByteBehindTheExpiryIsRefused) {
  const std::string good = Bytes(Sample());
  for (size_t i = 32; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_EQ(ParseRecord(bad).status().code(), absl::StatusCode::kDataLoss) << i;
  }
}

TEST(RecordTest, RandomBytesAreRefusedNotRead) {
  std::mt19937 random(11);
  const std::string good = Bytes(Sample());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = random() % 2 == 0 ? good : std::string(random() % 80, '0');
    const int changes = 1 + random() % 8;
    for (int i = 0; i < changes && !bytes.empty(); ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const absl::StatusOr<Record> parsed = ParseRecord(bytes);
    if (parsed.ok()) {
      // Only the version or the expiry was touched: it must append to the same bytes again.
      EXPECT_EQ(Bytes(*parsed), bytes);
    } else {
      EXPECT_EQ(parsed.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(RecordTest, ErrorsSayWhatIsWrong) {
  std::string upper = Bytes(Sample());
  upper[3] = 'F';
  EXPECT_THAT(ParseRecord(upper).status().message(), HasSubstr("version"));
  std::string kind = Bytes(Sample());
  kind[32] = 'X';
  EXPECT_THAT(ParseRecord(kind).status().message(), HasSubstr("unknown kind 88"));
}

TEST(RecordTest, AnExpiryOutsideOfItsTwelveDigitsIsClamped) {
  Record record = Sample();
  record.expires_at = absl::InfiniteFuture();
  const std::string latest = Bytes(record);
  EXPECT_EQ(latest.substr(20, 12), "ffffffffffff");
  record.expires_at = absl::InfinitePast();
  const std::string earliest = Bytes(record);
  EXPECT_EQ(earliest.substr(20, 12), "000000000000");
}

TEST(TagsTest, DecodeRefusesWhatEncodeDoesNotWrite) {
  EXPECT_EQ(DecodeTags(std::string_view("\x01", 1)), std::nullopt);
  EXPECT_EQ(DecodeTags(std::string_view("\x02\x00"
                                        "a",
                                        3)),
            std::nullopt);
  EXPECT_THAT(*DecodeTags(std::string_view("\x00\x00\x01\x00"
                                           "a",
                                           5)),
              ElementsAre("", "a"));
}

}  // namespace
}  // namespace meridian

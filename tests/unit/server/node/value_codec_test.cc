// Compression as reads and writes see it (0-16, 1-08): what is stored, what comes back, what is
// counted.

#include "server/node/value_codec.h"

#include "common/compression/zlib_codec.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

using testing::HasSubstr;

class ValueCodecTest : public NodeFixture {
 protected:
  void Start(int nodes, bool l1_only = false) {
    NamespacePolicy policy;
    policy.compression.enabled = true;
    PolicyTable policies;
    policies.Set(kSpace, policy);
    StartNodes(nodes, l1_only, policies);
  }
  static std::string Text(size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i) absl::StrAppend(&text, "persona ", i % 50, "; ");
    text.resize(size);
    return text;
  }
  static std::string Noise(size_t size) {
    std::string bytes(size, '\0');
    uint64_t state = 1;
    for (char& c : bytes) c = static_cast<char>((state = Hash64({}, state)));
    return bytes;
  }
  Record Stored(const std::string& key) {
    bytes_ = store_.Peek(kSpace, key).value_or("");
    const absl::StatusOr<Record> record = ParseRecord(bytes_);
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() ? *record : Record();
  }
  // Puts a zlib record with a right checksum under `key`, whatever it claims.
  void Plant(const std::string& key, std::string_view bytes, uint32_t raw_size) {
    Record record;
    record.version = node(0).versions().Next();
    record.expires_at = clock_.Now() + absl::Hours(1);
    record.encoding = Encoding::kZlib;
    record.raw_size = raw_size;
    record.value = bytes;
    std::string out;
    AppendRecord(record, &out);
    store_.Plant(L2Key{SlotOf(kSpace, key), kSpace, key}, out, absl::Hours(1));
  }
  const CompressionCounters& counters(int i = 0) {
    return node(i).context().namespaces.Resolve(kSpace)->counters.compression;
  }

  std::string bytes_;
};

TEST_F(ValueCodecTest, ALargeValueIsCompressedInBothTiersAndComesBackAsItWas) {
  Start(1);
  const std::string value = Text(20'000);
  WriteOne(node(0), SetOf("k", value));
  const Record record = Stored("k");
  EXPECT_EQ(record.encoding, Encoding::kZlib);
  EXPECT_EQ(record.raw_size, 20'000);
  EXPECT_LT(record.value.size(), 4'000);
  EXPECT_LT(node(0).engine().bytes(), 5'000);
  for (const char* tier : {"@L1", "@L2"}) {
    const ReadResult result = ReadOne(node(0), "k");
    EXPECT_EQ(Show(result), value + tier);
    EXPECT_EQ(result.encoding, Encoding::kIdentity);
    EXPECT_EQ(result.raw_size, 20'000);
    node(0).engine().Clear();
  }
}

TEST_F(ValueCodecTest, WithoutAStoreL1HoldsItCompressed) {
  Start(1, /*l1_only=*/true);
  const std::string value = Text(20'000);
  WriteOne(node(0), SetOf("k", value));
  EXPECT_LT(node(0).engine().bytes(), 5'000);
  EXPECT_EQ(Show(ReadOne(node(0), "k")), value + "@L1");
  WriteOne(node(0), TouchOf("k", absl::Seconds(5)));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), value + "@L1");
}

TEST_F(ValueCodecTest, WhatIsSmallOrDoesNotShrinkStaysAsItIs) {
  Start(1);
  WriteOne(node(0), SetOf("at the threshold", Text(1024)));
  WriteOne(node(0), SetOf("noise", Noise(5000)));
  EXPECT_EQ(Stored("at the threshold").encoding, Encoding::kIdentity);
  EXPECT_EQ(Stored("noise").encoding, Encoding::kIdentity);
  EXPECT_EQ(Show(ReadOne(node(0), "noise")), Noise(5000) + "@L1");
  WriteOne(node(0), SetOf("above", Text(1025)));
  EXPECT_EQ(Stored("above").encoding, Encoding::kZlib);
}

TEST_F(ValueCodecTest, WithoutThePolicyNothingIsCompressed) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", Text(20'000)));
  EXPECT_EQ(Stored("k").encoding, Encoding::kIdentity);
}

TEST_F(ValueCodecTest, TheOwnerCompressesAndTheNodeThatWasAskedInflates) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  const std::string value = Text(20'000);
  WriteOne(node(0), SetOf(key, value));
  EXPECT_EQ(counters(0).compressed_values, 0);
  EXPECT_EQ(counters(1).compressed_values, 1);
  EXPECT_EQ(Show(ReadOne(node(0), key)), value + "@L1");
  EXPECT_EQ(counters(0).inflated_values, 1);
  EXPECT_EQ(counters(1).inflated_values, 0);
}

TEST_F(ValueCodecTest, WhoAcceptsEncodedValuesGetsThemAsTheyAreStored) {
  Start(1);
  const std::string value = Text(20'000);
  WriteOne(node(0), SetOf("k", value));
  ReadOptions options;
  options.accept_encoded = true;
  const ReadResult result = ReadOne(node(0), "k", options);
  EXPECT_EQ(result.encoding, Encoding::kZlib);
  EXPECT_EQ(result.raw_size, 20'000);
  EXPECT_EQ(Inflate(result.value.view(), result.raw_size, value.size())->view(), value);
  EXPECT_EQ(counters().inflated_values, 0);
}

TEST_F(ValueCodecTest, NothingIsInflatedForWhoDoesNotWantTheValue) {
  Start(1);
  WriteOne(node(0), SetOf("k", Text(20'000)));
  ReadOptions options;
  options.omit_value = true;
  const ReadResult result = ReadOne(node(0), "k", options);
  EXPECT_EQ(result.encoding, Encoding::kIdentity);
  EXPECT_EQ(result.raw_size, 20'000);
  EXPECT_EQ(counters().inflated_values, 0);
}

TEST_F(ValueCodecTest, ACompressedValueThatIsDamagedIsDataLossOfItsEntryOnly) {
  Start(1);
  const std::string value = Text(5000);
  const Buffer good = *Deflate(value, {});
  WriteOne(node(0), SetOf("good", value));
  Plant("truncated", good.view().substr(0, good.size() / 2), 5000);
  Plant("trailing", std::string(good.view()) + "x", 5000);
  Plant("too long", good.view(), 4999);
  Plant("too short", good.view(), 5001);
  Plant("bomb", good.view(), 0xFFFFFFFF);
  Plant("empty", "", 5);
  const std::vector<std::string> keys = {"truncated", "trailing", "good",  "too long",
                                         "too short", "bomb",     "empty", "absent"};
  for (const bool from_l1 : {false, true}) {
    const std::vector<ReadResult> results = Read(node(0), keys);
    for (size_t i = 0; i < keys.size() - 1; ++i) {
      if (keys[i] == "good") {
        EXPECT_EQ(Show(results[i]), value + "@L1");
      } else {
        EXPECT_EQ(Show(results[i]), "CORRUPT_RECORD") << keys[i] << from_l1;
        EXPECT_EQ(results[i].error->code, grpc::StatusCode::DATA_LOSS);
        EXPECT_THAT(results[i].error->message, HasSubstr("malformed zlib data"));
      }
    }
    EXPECT_EQ(Show(results.back()), "miss");
  }
  EXPECT_EQ(counters().corrupt_values, 12);
  WriteOne(node(0), SetOf("bomb", value));
  EXPECT_EQ(Show(ReadOne(node(0), "bomb")), value + "@L1") << "a write heals it";
}

TEST_F(ValueCodecTest, WhatTakesLongIsNotInflatedOnTheThreadOfTheStore) {
  Start(1);
  WriteOne(node(0), SetOf("large", Text(1 << 20)));
  WriteOne(node(0), SetOf("small", Text(4096)));
  node(0).engine().Clear();
  FakeExecutor inflater(clock_);
  node(0).context().inflater = &inflater;
  EXPECT_EQ(ReadOne(node(0), "small").value.size(), 4096) << "at once";

  ReadRequest request;
  request.name_space = kSpace;
  request.keys = {"large"};
  request.deadline = clock_.Now() + absl::Seconds(1);
  std::vector<ReadResult> answer;
  node(0).reads().Read(request,
                       [&](std::vector<ReadResult> results) { answer = std::move(results); });
  executor_.RunDue();
  EXPECT_TRUE(answer.empty());
  EXPECT_EQ(inflater.RunDue(), 1);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].value.view(), Text(1 << 20));
}

TEST_F(ValueCodecTest, AnAnswerInflatesOnlySoMuch) {
  Start(1);
  const std::string value(8 << 20, 'x');
  WriteOne(node(0), SetOf("k", value));
  WriteOne(node(0), SetOf("small", Text(2000)));
  const std::vector<ReadResult> results =
      Read(node(0), {"k", "k", "small", "k", "k", "k", "small"});
  std::vector<std::string> shown;
  for (const ReadResult& result : results) {
    shown.push_back(result.state == EntryState::kOk ? absl::StrCat(result.value.size())
                                                    : result.error->reason);
  }
  EXPECT_THAT(shown, testing::ElementsAre("8388608", "8388608", "2000", "8388608",
                                          "ANSWER_TOO_LARGE", "ANSWER_TOO_LARGE", "2000"));
  EXPECT_EQ(results[4].error->code, grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ValueCodecTest, SavingsAndCpuTimeAreCounted) {
  Start(1);
  WriteOne(node(0), SetOf("a", Text(20'000)));
  WriteOne(node(0), SetOf("b", Text(30'000)));
  WriteOne(node(0), SetOf("noise", Noise(5000)));
  ReadOne(node(0), "a");
  EXPECT_EQ(counters().compressed_values, 2);
  EXPECT_EQ(counters().incompressible_values, 1);
  EXPECT_EQ(counters().raw_bytes, 50'000);
  EXPECT_EQ(counters().stored_bytes, Stored("a").value.size() + Stored("b").value.size());
  EXPECT_EQ(counters().inflated_values, 1);
  EXPECT_GT(counters().deflate_nanos, 0);
  EXPECT_GT(counters().inflate_nanos, 0);
}

}  // namespace
}  // namespace meridian

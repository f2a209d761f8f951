#include "server/rpc/batch_get_codec.h"

#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <random>

#include "common/engine/tag_list.h"
#include "server/node/entry_proto.h"

namespace meridian {
namespace {

using google::protobuf::util::MessageDifferencer;

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// What generated code writes for the same answer.
cache::v1::BatchGetResponse Expected(const cache::v1::ResponseHeader& header,
                                     const std::vector<ReadResult>& results, bool omit_value) {
  cache::v1::BatchGetResponse response;
  *response.mutable_header() = header;
  for (const ReadResult& result : results) ToProto(result, omit_value, response.add_entries());
  return response;
}

ReadResult Hit(size_t value_size, std::mt19937_64& random) {
  ReadResult result;
  result.state = EntryState::kOk;
  result.tier = random() % 2 == 0 ? Tier::kL1 : Tier::kL2;
  std::string value(value_size, '\0');
  for (char& c : value) c = static_cast<char>(random());
  result.value = Buffer::CopyOf(value);
  result.version = Version{random(), static_cast<uint16_t>(random())};
  result.ttl = absl::Milliseconds(random() % 1'000'000'000);
  result.age = absl::Milliseconds(random() % 1'000'000);
  result.stale = random() % 2 == 0;
  result.encoding = random() % 4 == 0 ? Encoding::kZlib : Encoding::kIdentity;
  result.raw_size = static_cast<uint32_t>(random() % 10'000'000);
  if (random() % 4 == 0) {
    result.tags = Buffer::CopyOf(EncodeTags({"project:7", "", std::string(random() % 300, 't')}));
    if (random() % 2 == 0) result.written = random();
  }
  result.lease.assign(random() % 4 == 0 ? 27 : 0, 'L');
  result.not_kept = random() % 4 == 0;
  return result;
}

TEST(BatchGetCodecTest, WritesWhatGeneratedCodeWrites) {
  std::mt19937_64 random(7);
  const size_t sizes[] = {0, 1, 100, 127, 128, 5000, kSliceBytes - 1, kSliceBytes, 100'000};
  for (int round = 0; round < 200; ++round) {
    std::vector<ReadResult> results;
    for (int i = static_cast<int>(random() % 20); i >= 0; --i) {
      ReadResult result;
      switch (random() % 4) {
        case 0:
          result.tier = static_cast<Tier>(random() % 4);  // A miss.
          result.lease.assign(random() % 2 == 0 ? 27 : 0, 'L');
          result.lease_taken = result.lease.empty() && random() % 2 == 0;
          break;
        case 1:
          SetError(Error{grpc::StatusCode::UNAVAILABLE, "L2_UNAVAILABLE", "why", {}}, &result);
          break;
        default:
          result = Hit(sizes[random() % std::size(sizes)], random);
      }
      results.push_back(std::move(result));
    }
    cache::v1::ResponseHeader header;
    header.set_epoch(random());
    header.set_node("us-1");
    const bool omit_value = random() % 4 == 0;
    const cache::v1::BatchGetResponse expected = Expected(header, results, omit_value);
    const std::string bytes =
        Flatten(WriteBatchGetResponse(header.SerializeAsString(), &results, omit_value));
    ASSERT_EQ(bytes.size(), expected.ByteSizeLong());
    cache::v1::BatchGetResponse parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    ASSERT_TRUE(MessageDifferencer::Equals(parsed, expected)) << parsed.ShortDebugString();
    ASSERT_EQ(bytes, expected.SerializeAsString());
  }
}

TEST(BatchGetCodecTest, LargeValuesAreReferencedNotCopied) {
  std::mt19937_64 random(1);
  std::vector<ReadResult> results;
  results.push_back(Hit(1 << 20, random));
  const char* bytes = results[0].value.view().data();
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(WriteBatchGetResponse("", &results, false).Dump(&slices).ok());
  bool referenced = false;
  for (const grpc::Slice& slice : slices) {
    referenced |= reinterpret_cast<const char*>(slice.begin()) == bytes;
  }
  EXPECT_TRUE(referenced);
}

TEST(BatchGetCodecTest, ReadsWhatGeneratedCodeWrites) {
  cache::v1::BatchGetRequest request;
  request.set_namespace_("task");
  request.mutable_header()->set_request_id("r-1");
  request.mutable_header()->set_epoch(77);
  request.mutable_options()->set_omit_value(true);
  request.mutable_options()->set_max_stale_ms(123456789);
  request.add_keys("plain");
  request.add_keys(std::string("\0binary\xff", 8));
  request.add_keys("");
  const std::string bytes = request.SerializeAsString();
  BatchGetFields fields;
  ASSERT_TRUE(ParseBatchGet(bytes, &fields));
  EXPECT_EQ(fields.name_space, "task");
  EXPECT_TRUE(MessageDifferencer::Equals(fields.header, request.header()));
  EXPECT_TRUE(MessageDifferencer::Equals(fields.options, request.options()));
  ASSERT_EQ(fields.keys.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fields.keys[i], request.keys(i));
}

TEST(BatchGetCodecTest, SkipsUnknownFieldsAndRefusesBrokenBytes) {
  cache::v1::BatchGetRequest request;
  request.set_namespace_("task");
  request.add_keys("some key");
  std::string bytes = request.SerializeAsString();
  // Fields 100..103 of every wire type, from a later release.
  const std::string later = std::string("\xa0\x06\x05") + "\xa9\x06" + "12345678" +
                            "\xb2\x06\x02hi" + "\xbd\x06" + "1234";
  BatchGetFields fields;
  EXPECT_TRUE(ParseBatchGet(bytes + later, &fields));
  EXPECT_EQ(fields.keys.size(), 1u);
  // Every cut is refused or reads as a shorter message; none reads beyond the bytes (asan).
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    BatchGetFields ignored;
    cache::v1::BatchGetRequest generated;
    EXPECT_EQ(ParseBatchGet(cut, &ignored), generated.ParseFromString(cut)) << size;
  }
  EXPECT_FALSE(ParseBatchGet(std::string("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10), &fields));
  EXPECT_FALSE(ParseBatchGet("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", &fields));
  EXPECT_FALSE(ParseBatchGet("\x1b\x1c", &fields)) << "groups are not proto3";
}

TEST(BatchGetCodecTest, RandomBytesAreJudgedAsGeneratedCodeJudgesThem) {
  const google::protobuf::LogSilencer silence;
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 == 0 ? random() : random() % 40);
    BatchGetFields fields;
    if (!ParseBatchGet(bytes, &fields)) continue;
    // Ours may refuse more (groups, wrong wire types are skipped alike), never accept what is
    // broken.
    cache::v1::BatchGetRequest generated;
    const bool accepted = generated.ParseFromString(bytes);
    if (accepted) {
      EXPECT_EQ(static_cast<int>(fields.keys.size()), generated.keys_size());
    }
  }
}

}  // namespace
}  // namespace meridian

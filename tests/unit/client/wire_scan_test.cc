// The wire scan of the load generator against the generated encoder.

#include "bench/load/wire_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {
namespace {

cache::v1::BatchGetResponse Response() {
  cache::v1::BatchGetResponse response;
  response.mutable_header()->set_node("node-1");
  response.mutable_header()->set_epoch(1'000'000);
  for (int i = 0; i < 3; ++i) {
    cache::v1::Entry* entry = response.add_entries();
    entry->set_status(cache::v1::ENTRY_STATUS_OK);
    entry->set_value(std::string(300, 'x'));
    entry->mutable_version()->set_hlc(~0ull);
    entry->set_ttl_ms(~0ull);
  }
  return response;
}

TEST(WireScanTest, CountsWhatTheGeneratedEncoderWrote) {
  cache::v1::BatchGetResponse response = Response();
  response.mutable_entries(1)->set_value("short");
  response.add_entries()->set_status(cache::v1::ENTRY_STATUS_MISS);
  response.add_entries()->set_status(cache::v1::ENTRY_STATUS_ERROR);
  const EntryCounts counts = CheckEntries(response.SerializeAsString(), 300);
  EXPECT_TRUE(counts.well_formed);
  EXPECT_EQ(counts.hits, 2u);
  EXPECT_EQ(counts.wrong_size, 1u);
  EXPECT_EQ(counts.misses, 1u);
  EXPECT_EQ(counts.errors, 1u);
}

TEST(WireScanTest, HitsOfAnotherTierAreToldApart) {
  cache::v1::BatchGetResponse response = Response();
  for (int i = 0; i < 2; ++i) response.mutable_entries(i)->set_source(cache::v1::SOURCE_L2);
  response.add_entries()->set_status(cache::v1::ENTRY_STATUS_MISS);
  const std::string bytes = response.SerializeAsString();
  EXPECT_EQ(CheckEntries(bytes, 300).elsewhere, 0u);
  const EntryCounts counts = CheckEntries(bytes, 300, cache::v1::SOURCE_L2);
  EXPECT_EQ(counts.hits, 3u);
  EXPECT_EQ(counts.elsewhere, 1u);
  EXPECT_EQ(CheckEntries(bytes, 300, cache::v1::SOURCE_L1).elsewhere, 3u);
}

TEST(WireScanTest, AnAnswerThatIsCutShortIsNeverWellFormedAndWhole) {
  const std::string bytes = Response().SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const EntryCounts counts = CheckEntries(std::string_view(bytes).substr(0, size), 300);
    EXPECT_FALSE(counts.well_formed && counts.hits == 3) << size;
  }
}

}  // namespace
}  // namespace meridian

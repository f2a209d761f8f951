// One key that is half of all reads, on six real nodes, while somebody deletes it and it is filled
// again, over and over: it heats no node much above the mean, and nobody is given what was old for
// longer than the bound.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/read_through.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/hot_key_cluster.h"

namespace meridian {
namespace {

using calls::kSpace;

constexpr absl::Duration kEvery = absl::Milliseconds(250);

// The row of the hot key, and when each of its values was told to the cache: a thread changes it
// every kEvery until the object ends.
class Row {
 public:
  // `tell` gets what the row is now, and returns when the cache has acknowledged the change.
  explicit Row(std::function<void(int value)> tell) : tell_(std::move(tell)) {
    thread_ = std::thread([this] {
      while (!stop_.load()) {
        tell_(++value_);
        {
          absl::MutexLock lock(&mu_);
          told_.push_back(absl::Now());
        }
        absl::SleepFor(kEvery);
      }
    });
  }
  ~Row() {
    stop_ = true;
    thread_.join();
  }

  int value() const { return value_.load(); }
  int changes() const { return value_.load(); }
  // The value that everybody must see, or a newer one: told so long ago.
  int KnownSince(absl::Duration bound) const {
    absl::MutexLock lock(&mu_);
    const absl::Time since = absl::Now() - bound;
    int value = 0;
    while (static_cast<size_t>(value) < told_.size() && told_[static_cast<size_t>(value)] < since) {
      ++value;
    }
    return value;
  }

 private:
  const std::function<void(int)> tell_;
  std::atomic<bool> stop_{false};
  std::atomic<int> value_{0};
  mutable absl::Mutex mu_;
  std::vector<absl::Time> told_ ABSL_GUARDED_BY(mu_);  // Of value n at n - 1.
  std::thread thread_;
};

class HotKeyRefillTest : public HotKeyCluster {
 protected:
  static void SetUpTestSuite() { StartNodes(""); }

  void SetUp() override {
    HotKeyCluster::SetUp();
    std::vector<std::string> keys;
    for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key:", i));
    calls::SetAll(*stubs_[0], keys, "v");
  }
  static void Delete(size_t node) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::InvalidateRequest request;
    request.set_namespace_(kSpace);
    request.set_key(kHot);
    cache::v1::InvalidateResponse response;
    const grpc::Status status = stubs_[node]->Invalidate(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  // The heat of reads through `read`, which is given the number of the read, while `row` changes:
  // of the second half of them. nullopt is a miss.
  static double HeatOfReads(const std::string& who, const Row& row,
                            const std::function<std::optional<std::string>(int)>& read) {
    int misses = 0;
    int behind = 0;
    const auto read_all = [&] {
      for (int i = 0; i < 2 * kReads; ++i) {
        const bool hot = KeyOfRead(i) == kHot;
        const int least = row.KnownSince(kBound);
        const int acknowledged = row.KnownSince(absl::ZeroDuration());
        const std::optional<std::string> got = read(i);
        if (!hot) {
          EXPECT_EQ(got, "v");
          continue;
        }
        if (!got) {
          ++misses;
          continue;
        }
        int value = 0;
        ASSERT_TRUE(absl::SimpleAtoi(*got, &value)) << *got;
        EXPECT_GE(value, least) << "read " << i;
        behind += value < acknowledged ? 1 : 0;
      }
    };
    read_all();
    misses = behind = 0;
    const int changes = row.changes();
    const double heat = HeatOfRun(who, read_all);
    std::printf("%s: %d changes, %d of %d reads missed, %d were behind an acknowledged change\n",
                who.c_str(), row.changes() - changes, misses, kReads, behind);
    EXPECT_GT(row.changes() - changes, 3) << "this shows nothing";
    return heat;
  }
};

TEST_F(HotKeyRefillTest, DeletedAndWrittenByOthersItHeatsNoNodeMuchAboveTheMean) {
  size_t turn = 0;
  const Row row([&](int value) {
    Delete(turn++ % kNodes);
    calls::SetAll(*stubs_[turn++ % kNodes], {kHot}, std::to_string(value));
  });
  const std::unique_ptr<Client> client = NewClient(/*spread=*/true);
  const auto found = [](bool hit, std::string value) {
    return hit ? std::optional<std::string>(std::move(value)) : std::nullopt;
  };
  EXPECT_LT(HeatOfReads("clients that spread hot keys", row,
                        [&](int i) {
                          GetResult result = client->Get(kSpace, KeyOfRead(i));
                          return found(result.hit(), std::move(result.value));
                        }),
            2.0);
  EXPECT_LT(HeatOfReads("callers of any node", row,
                        [&](int i) {
                          const size_t node = static_cast<size_t>(i / 2) % kNodes;
                          const auto response = calls::GetAll(*stubs_[node], {KeyOfRead(i)});
                          const cache::v1::Entry& entry = response.entries(0);
                          return found(entry.status() == cache::v1::ENTRY_STATUS_OK, entry.value());
                        }),
            2.0);
}

// As look-aside services do: one changes the row and deletes the key, and whoever misses it reads
// the row and fills the key under a lease.
TEST_F(HotKeyRefillTest, DeletedAndFilledUnderLeasesItHeatsNoNodeMuchAboveTheMean) {
  size_t turn = 0;
  const Row row([&](int) { Delete(turn++ % kNodes); });
  std::vector<std::unique_ptr<Client>> services;
  for (int i = 0; i < 4; ++i) services.push_back(NewClient(/*spread=*/true));
  std::atomic<int> loads{0};
  const auto read = [&](int i) {
    Client& service = *services[static_cast<size_t>(i / 2) % services.size()];
    const std::string key = KeyOfRead(i);
    const std::vector<std::string_view> asked = {key};
    return ReadThrough(service, kSpace, asked, [&](std::span<const std::string_view> keys) {
      ++loads;
      return std::vector<std::optional<std::string>>(keys.size(), std::to_string(row.value()));
    })[0];
  };
  EXPECT_LT(HeatOfReads("look-aside services that spread hot keys", row, read), 2.0);
  std::printf("%d loads for %d changes\n", loads.load(), row.changes());
}

}  // namespace
}  // namespace meridian

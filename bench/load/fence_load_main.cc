// meridian-fence-load: what one invalidation of very many entries takes, and whether it is whole.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"

namespace meridian {
namespace {

constexpr int kBatch = 1000;
constexpr char kTag[] = "all";
constexpr char kPrefix[] = "covered:";
constexpr absl::Duration kTimeout = absl::Seconds(30);

struct FenceLoadOptions {
  std::vector<std::string> targets;
  std::string name_space = "bench";
  std::string scope = "tag";
  int entries = 1'000'000;
  int near_entries = 10'000;
  int value_size = 100;
};

// Of part of the entries, in order.
struct Counts {
  int hits = 0;
  int misses = 0;
  int failed = 0;
};

class FenceLoad {
 public:
  explicit FenceLoad(FenceLoadOptions options) : options_(std::move(options)) {}

  absl::Status Connect() {
    ClientOptions plain;
    plain.targets = options_.targets;
    ClientOptions near = plain;
    near.near_cache_bytes = size_t{64} << 20;
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(plain);
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    client = Client::Create(near);
    if (!client.ok()) return client.status();
    near_ = *std::move(client);
    if (absl::Status ready = client_->WaitUntilReady(kTimeout); !ready.ok()) return ready;
    return near_->WaitUntilReady(kTimeout);
  }

  // Returns how many entries could not be written.
  int Write(int count) {
    int failed = 0;
    CallOptions call;
    call.timeout = kTimeout;
    for (int first = 0; first < count; first += kBatch) {
      std::vector<SetItem> items;
      for (int i = first; i < std::min(count, first + kBatch); ++i) {
        SetItem item;
        item.key = KeyOf(i);
        item.value = std::string(static_cast<size_t>(options_.value_size), 'v');
        item.ttl = absl::Hours(1);
        item.tags = {kTag};
        items.push_back(std::move(item));
      }
      for (const WriteResult& result :
           client_->BatchSet(options_.name_space, std::move(items), call)) {
        if (!result.ok()) ++failed;
      }
    }
    return failed;
  }

  Counts Read(Client& client, int count) const {
    Counts counts;
    GetOptions call;
    call.timeout = kTimeout;
    call.omit_value = &client == client_.get();
    for (int first = 0; first < count; first += kBatch) {
      std::vector<std::string> names;
      for (int i = first; i < std::min(count, first + kBatch); ++i) names.push_back(KeyOf(i));
      const std::vector<std::string_view> keys(names.begin(), names.end());
      for (const GetResult& result : client.BatchGet(options_.name_space, keys, call)) {
        ++(result.hit()                           ? counts.hits
           : result.status == ResultStatus::kMiss ? counts.misses
                                                  : counts.failed);
      }
    }
    return counts;
  }

  WriteResult Fence() {
    CallOptions call;
    call.timeout = kTimeout;
    if (options_.scope == "tag") return client_->InvalidateTag(options_.name_space, kTag, call);
    if (options_.scope == "prefix") {
      return client_->InvalidatePrefix(options_.name_space, kPrefix, call);
    }
    return client_->InvalidateNamespace(options_.name_space, call);
  }

  int Run() {
    if (absl::Status status = Connect(); !status.ok()) return Fail(std::string(status.message()));
    if (const int failed = Write(options_.entries); failed > 0) {
      return Fail(absl::StrCat(failed, " of the entries were not written"));
    }
    const Counts before = Read(*client_, options_.entries);
    Read(*near_, options_.near_entries);
    const Counts near_before = Read(*near_, options_.near_entries);
    const uint64_t near_hits = near_->near_stats().hits;

    const absl::Time begun = absl::Now();
    const WriteResult fenced = Fence();
    const absl::Time done = absl::Now();
    if (!fenced.ok()) return Fail(absl::StrCat("the fence: ", fenced.error->message));
    // What was told to the near cache is on its way: nothing may be served after it has arrived.
    Counts near_after;
    absl::Duration near_took;
    do {
      near_after = Read(*near_, options_.near_entries);
      near_took = absl::Now() - done;
    } while (near_after.hits > 0 && near_took < kTimeout);
    const Counts after = Read(*client_, options_.entries);
    const int rewritten = std::min(options_.entries, 10 * kBatch);
    const int lost = Write(rewritten);
    const Counts again = Read(*client_, rewritten);

    const nlohmann::ordered_json json = {
        {"scope", options_.scope},
        {"entries", options_.entries},
        {"took_ms", absl::ToDoubleMilliseconds(done - begun)},
        {"unconfirmed_nodes", fenced.unconfirmed_nodes.size()},
        {"hits_before", before.hits},
        {"hits_after", after.hits},
        {"near_hits_before", near_hits},
        {"near_clean_after_ms", absl::ToDoubleMilliseconds(near_took)},
        {"rewritten", rewritten},
        {"hits_of_rewritten", again.hits},
        {"failed", before.failed + after.failed + again.failed + near_before.failed +
                       near_after.failed + lost}};
    std::printf("%s\n", json.dump().c_str());
    const bool whole = after.hits == 0 && near_after.hits == 0 && again.hits == rewritten &&
                       before.hits == options_.entries && fenced.unconfirmed_nodes.empty();
    return whole ? 0 : 1;
  }

 private:
  static std::string KeyOf(int i) { return absl::StrCat(kPrefix, i); }
  static int Fail(const std::string& what) {
    std::fprintf(stderr, "error: %s\n", what.c_str());
    return 1;
  }

  const FenceLoadOptions options_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client> near_;  // Has a near cache.
};

int Main(int argc, char** argv) {
  FenceLoadOptions options;
  CLI::App app(
      "Fills a region with entries, invalidates all of them by one call, reads every one of them,\n"
      "and writes some again; prints JSON. Exit code 1 when any was served afterwards, or any "
      "that\n"
      "was written later was not.",
      "meridian-fence-load");
  app.add_option("--target", options.targets, "HOST:PORT of a node of the region; repeatable")
      ->required();
  app.add_option("--namespace", options.name_space, "data type")->capture_default_str();
  app.add_option("--scope", options.scope, "tag, prefix or namespace")
      ->check(CLI::IsMember({"tag", "prefix", "namespace"}))
      ->capture_default_str();
  app.add_option("--entries", options.entries, "that it covers")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--value-size", options.value_size, "bytes of a value")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.near_entries = std::min(options.near_entries, options.entries);
  return FenceLoad(std::move(options)).Run();
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) {
  try {
    return meridian::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

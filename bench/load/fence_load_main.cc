// meridian-fence-load: what one invalidation of very many entries takes, and whether it is whole:
// in L1 and Redis, in mirrors of hot keys, in the near cache of the client that makes the call and
// in that of another client.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {
namespace {

constexpr int kBatch = 1000;
constexpr char kTag[] = "all";
constexpr char kPrefix[] = "covered:";
constexpr absl::Duration kTimeout = absl::Seconds(30);
// What others' near caches may need to hear of it, as client_options.h promises.
constexpr absl::Duration kNearBound = absl::Seconds(3);
// Every node is asked for the hot keys so long before the call, and so often after it.
constexpr absl::Duration kHeatFor = absl::Seconds(4);
constexpr int kHotRounds = 100;

struct FenceLoadOptions {
  std::vector<std::string> targets;
  std::string name_space = "bench";
  std::string scope = "tag";
  int entries = 1'000'000;
  int near_entries = 10'000;
  int hot_entries = 16;
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
    for (const auto& [options, client] :
         {std::pair(&plain, &client_), std::pair(&near, &own_), std::pair(&near, &others_)}) {
      absl::StatusOr<std::unique_ptr<Client>> created = Client::Create(*options);
      if (!created.ok()) return created.status();
      *client = *std::move(created);
      if (absl::Status ready = (*client)->WaitUntilReady(kTimeout); !ready.ok()) return ready;
    }
    for (const std::string& target : options_.targets) {
      nodes_.push_back(cache::v1::CacheService::NewStub(
          grpc::CreateChannel(target, grpc::InsecureChannelCredentials())));
    }
    return absl::OkStatus();
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

  // Asks every node for the hot keys, whoever owns them: nodes that keep mirrors answer from them.
  void ReadHot(Counts* counts) {
    cache::v1::BatchGetRequest request;
    request.set_namespace_(options_.name_space);
    for (int i = 0; i < options_.hot_entries; ++i) request.add_keys(KeyOf(i));
    for (const auto& node : nodes_) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kTimeout));
      cache::v1::BatchGetResponse response;
      if (!node->BatchGet(&context, request, &response).ok()) {
        counts->failed += options_.hot_entries;
        continue;
      }
      for (const cache::v1::Entry& entry : response.entries()) {
        ++(entry.status() == cache::v1::ENTRY_STATUS_OK     ? counts->hits
           : entry.status() == cache::v1::ENTRY_STATUS_MISS ? counts->misses
                                                            : counts->failed);
      }
    }
  }

  WriteResult Fence() {
    CallOptions call;
    call.timeout = kTimeout;
    if (options_.scope == "tag") return own_->InvalidateTag(options_.name_space, kTag, call);
    if (options_.scope == "prefix") {
      return own_->InvalidatePrefix(options_.name_space, kPrefix, call);
    }
    return own_->InvalidateNamespace(options_.name_space, call);
  }

  int Run() {
    if (absl::Status status = Connect(); !status.ok()) return Fail(std::string(status.message()));
    if (const int failed = Write(options_.entries); failed > 0) {
      return Fail(absl::StrCat(failed, " of the entries were not written"));
    }
    const Counts before = Read(*client_, options_.entries);
    for (Client* client : {own_.get(), others_.get()}) {
      Read(*client, options_.near_entries);  // Now it has them.
      Read(*client, options_.near_entries);
    }
    const uint64_t own_hits = own_->near_stats().hits;
    const uint64_t others_hits = others_->near_stats().hits;
    Counts hot_before;
    const absl::Time heated = absl::Now() + kHeatFor;
    while (absl::Now() < heated) ReadHot(&hot_before);

    const absl::Time begun = absl::Now();
    const WriteResult fenced = Fence();
    const absl::Time done = absl::Now();
    if (!fenced.ok()) return Fail(absl::StrCat("the fence: ", fenced.error->message));
    // First who keeps copies. What is told to others' near caches may be on its way when the call
    // returns: some are asked for there as soon as can be.
    int others_served = Read(*others_, std::min(options_.near_entries, kBatch)).hits;
    Counts hot_after;
    ReadHot(&hot_after);
    const Counts own_after = Read(*own_, options_.near_entries);
    Counts others_after;
    absl::Duration others_clean;
    do {
      others_after = Read(*others_, options_.near_entries);
      others_served += others_after.hits;
      others_clean = absl::Now() - done;
    } while (others_after.hits > 0 && others_clean < kTimeout);
    for (int round = 0; round < kHotRounds; ++round) ReadHot(&hot_after);
    const Counts after = Read(*client_, options_.entries);
    const int rewritten = std::min(options_.entries, 10 * kBatch);
    const int lost = Write(rewritten);
    const Counts again = Read(*client_, rewritten);

    const int failed = before.failed + after.failed + again.failed + hot_before.failed +
                       hot_after.failed + own_after.failed + others_after.failed + lost;
    const nlohmann::ordered_json json = {
        {"scope", options_.scope},
        {"entries", options_.entries},
        {"took_ms", absl::ToDoubleMilliseconds(done - begun)},
        {"unconfirmed_nodes", fenced.unconfirmed_nodes.size()},
        {"hits_before", before.hits},
        {"hits_after", after.hits},
        {"hot_hits_before", hot_before.hits},
        {"hot_hits_after", hot_after.hits},
        {"own_near_hits_before", own_hits},
        {"own_near_hits_after", own_after.hits},
        {"others_near_hits_before", others_hits},
        {"others_near_hits_after", others_served},
        {"others_near_clean_after_ms", absl::ToDoubleMilliseconds(others_clean)},
        {"rewritten", rewritten},
        {"hits_of_rewritten", again.hits},
        {"failed", failed}};
    std::printf("%s\n", json.dump().c_str());
    const bool all_there = before.hits == options_.entries && hot_before.misses == 0;
    const bool none_served = after.hits + hot_after.hits + own_after.hits + others_after.hits == 0;
    const bool whole = all_there && none_served && others_clean <= kNearBound &&
                       again.hits == rewritten && failed == 0 && fenced.unconfirmed_nodes.empty();
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
  std::unique_ptr<Client> own_;     // Has a near cache, and makes the call.
  std::unique_ptr<Client> others_;  // Has a near cache.
  std::vector<std::unique_ptr<cache::v1::CacheService::Stub>> nodes_;  // Of `targets`.
};

int Main(int argc, char** argv) {
  FenceLoadOptions options;
  CLI::App app(
      "Fills a region with entries, invalidates all of them by one call, reads every one of them,\n"
      "some at every node and through near caches, and writes some again; prints JSON. Exit code "
      "1\n"
      "when any was served afterwards (by the near cache of another client: 3 s afterwards), or "
      "any\n"
      "that was written later was not.",
      "meridian-fence-load");
  app.add_option("--target", options.targets,
                 "HOST:PORT of a node of the region; repeatable: each is asked for the hot keys")
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
  options.hot_entries = std::min(options.hot_entries, options.entries);
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

#include "server/rpc/explain_everywhere.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "common/rpc/error.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

constexpr absl::Duration kOthersTime = absl::Seconds(1);

const char* StateOf(Holding holding) {
  switch (holding) {
    case Holding::kValue:
      return "value";
    case Holding::kFenced:
      return "fenced";
    case Holding::kTombstone:
      return "tombstone";
    case Holding::kAbsent:
      return "absent";
    case Holding::kUnavailable:
      return "unavailable";
  }
  return "";
}

void AddTier(const TierReport& report, const std::string& node,
             admin::v1::ExplainKeyResponse* response) {
  admin::v1::TierState* tier = response->add_tiers();
  tier->set_tier(static_cast<cache::v1::Source>(report.tier));
  tier->set_state(StateOf(report.holding));
  if (report.tier == Tier::kL1) tier->set_node(node);
  tier->set_mirror(report.mirror);
  if (report.version.is_set()) ToProto(report.version, tier->mutable_version());
  tier->set_ttl_ms(
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(report.ttl), 0)));
  tier->set_size(report.size);
  tier->set_raw_size(report.raw_size);
  for (const std::string& tag : report.tags) tier->add_tags(tag);
  if (report.error) ToProto(*report.error, tier->mutable_error());
}

// Whoever answers last tells the caller.
class Gathering {
 public:
  using Reports = absl::StatusOr<std::vector<TierReport>>;

  // Nodes by their place in the answer, the owner at 0.
  Gathering(std::vector<std::string> nodes, admin::v1::ExplainKeyResponse* response,
            std::function<void(grpc::Status)> done)
      : nodes_(std::move(nodes)),
        response_(response),
        done_(std::move(done)),
        reports_(nodes_.size(), Reports(std::vector<TierReport>())),
        left_(nodes_.size()) {}

  void Take(size_t node, Reports reports) ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<Reports> all;
    {
      absl::MutexLock lock(&mu_);
      reports_[node] = std::move(reports);
      if (--left_ > 0) return;
      all = std::move(reports_);
    }
    Finish(all);
  }

 private:
  void Finish(const std::vector<Reports>& all) {
    if (!all[0].ok()) {
      return done_(MakeError(grpc::StatusCode::UNAVAILABLE, reason::kOwnerUnavailable,
                             absl::StrCat("node ", nodes_[0], " owns the key and does not answer: ",
                                          std::string(all[0].status().message()))));
    }
    for (const TierReport& report : *all[0]) AddTier(report, nodes_[0], response_);
    for (size_t i = 1; i < nodes_.size(); ++i) {
      if (!all[i].ok()) {
        TierReport unknown;
        unknown.tier = Tier::kL1;
        unknown.holding = Holding::kUnavailable;
        unknown.error = FromStatus(all[i].status());
        AddTier(unknown, nodes_[i], response_);
        continue;
      }
      for (const TierReport& report : *all[i]) {
        if (report.holding != Holding::kAbsent) AddTier(report, nodes_[i], response_);
      }
    }
    done_(grpc::Status::OK);
  }

  const std::vector<std::string> nodes_;
  admin::v1::ExplainKeyResponse* const response_;
  const std::function<void(grpc::Status)> done_;
  absl::Mutex mu_;
  std::vector<Reports> reports_ ABSL_GUARDED_BY(mu_);
  size_t left_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void ExplainEverywhere(const NodeContext& context, Explainer& explainer,
                       const TopologyHolder::Snapshot& topology, const std::string& name_space,
                       const std::string& key, absl::Time deadline,
                       admin::v1::ExplainKeyResponse* response,
                       std::function<void(grpc::Status)> done) {
  const Member* owner = topology->OwnerOf(SlotOf(name_space, key));
  // A key that nobody owns is explained by whoever is asked.
  const bool ours = owner == nullptr || owner->id == context.node_id;
  std::vector<std::string> nodes = {ours ? context.node_id : owner->id};
  std::vector<const Member*> others;
  for (const Member& member : topology->members()) {
    if (member.id == nodes[0]) continue;
    nodes.push_back(member.id);
    others.push_back(&member);
  }
  auto gathering = std::make_shared<Gathering>(std::move(nodes), response, std::move(done));
  const absl::Time soon = std::min(deadline - kReplyMargin, context.clock.Now() + kOthersTime);
  for (size_t i = 0; i < others.size(); ++i) {
    if (others[i]->id == context.node_id) {
      gathering->Take(i + 1, explainer.InMemory(name_space, key));
      continue;
    }
    context.peers.Explain(
        *others[i], name_space, key, PeerTransport::Tiers::kMemory, soon,
        [gathering, i](Gathering::Reports reports) { gathering->Take(i + 1, std::move(reports)); });
  }
  const auto take = [gathering](Gathering::Reports reports) {
    gathering->Take(0, std::move(reports));
  };
  if (ours) {
    explainer.Explain(name_space, key, deadline, take);
  } else {
    context.peers.Explain(*owner, name_space, key, PeerTransport::Tiers::kAll,
                          deadline - kReplyMargin, take);
  }
}

}  // namespace meridian

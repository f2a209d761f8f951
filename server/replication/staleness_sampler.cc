#include "server/replication/staleness_sampler.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "server/node/absence.h"
#include "server/node/limits.h"
#include "server/node/record.h"

namespace meridian {
namespace {

constexpr char kRedis[] = "redis";
constexpr size_t kMaxRows = 4096;

constexpr char kMirrorPlace[] = "/mirror";

TierReport ReportOf(const Entry& entry, bool mirror, Holding holding) {
  TierReport report;
  report.tier = Tier::kL1;
  report.mirror = mirror;
  report.holding = holding;
  report.version = entry.version;
  return report;
}

}  // namespace

bool IsSampled(std::string_view name_space, std::string_view key, Version version,
               uint64_t one_in) {
  if (one_in == 0 || !version.is_set()) return false;
  if (IsInternalNamespace(name_space)) return IsFenceNamespace(name_space);
  return Hash64(key, version.hlc) % one_in == 0;
}

StalenessSampler::StalenessSampler(StalenessOptions options, L2Store& own,
                                   std::map<std::string, L2Store*> others, Engine& engine,
                                   Fences& fences, MirrorReads* mirrors, PeerTransport& peers,
                                   const TopologyHolder& topology, TaskGate gate,
                                   const Clock& clock, ReplicationLink::ModeOf mode_of,
                                   LinkOf link_of)
    : options_(std::move(options)),
      own_(own),
      others_(std::move(others)),
      engine_(engine),
      fences_(fences),
      mirrors_(mirrors),
      peers_(peers),
      topology_(topology),
      gate_(gate),
      clock_(clock),
      mode_of_(std::move(mode_of)),
      link_of_(std::move(link_of)) {}

bool StalenessSampler::HasRoom(size_t* in_second, size_t per_second) {
  if (followed_.size() >= options_.max_waiting) return false;
  const absl::Duration second = absl::Floor(clock_.Monotonic(), absl::Seconds(1));
  if (second != std::exchange(second_, second)) in_second_ = fences_in_second_ = 0;
  if (*in_second >= per_second) return false;
  ++*in_second;
  return true;
}

void StalenessSampler::OnChanges(LogPosition after, const LogSlice& slice) {
  for (const LogEntry& entry : slice.entries) {
    if (!IsSampled(entry.name_space, entry.key, entry.version, options_.one_in)) continue;
    Hear(slice.slot, entry.name_space, entry.key, entry.version, AgeOf(entry.position));
  }
}

void StalenessSampler::OnCarriedOut(const CarriedOut& change) {
  Hear(change.key.slot, change.key.name_space, change.key.key, change.version,
       std::max(absl::ZeroDuration(), clock_.Now() - change.sent));
}

void StalenessSampler::Hear(uint32_t slot, std::string_view name_space, std::string_view key,
                            Version version, absl::Duration heard_at) {
  const uint64_t id = Hash64(key, Hash64(name_space, version.hlc + slot) ^ version.region);
  if (followed_.contains(id)) return;  // It was told before, from the other side.
  std::optional<Fence> fence;
  if (IsFenceNamespace(name_space)) {
    fence = ParseFenceKey(name_space, key, version);
    if (!fence || !HasRoom(&fences_in_second_, options_.fences_per_second)) return;
    ++fences_sampled_total_;
  } else {
    if (!HasRoom(&in_second_, options_.per_second)) return;
    ++sampled_total_;
  }
  auto sample = std::make_shared<Sample>();
  sample->key = {slot, std::string(name_space), std::string(key)};
  sample->version = version;
  sample->fence = std::move(fence);
  sample->id = id;
  Follow(std::move(sample), heard_at);
}

absl::Duration StalenessSampler::AgeOf(LogPosition position) const {
  // A version may be older: of a load's begin, or of a write that had to wait. The store's clock
  // may be ahead of this one.
  const absl::Time stored = absl::FromUnixMillis(static_cast<int64_t>(position.ms));
  return std::max(absl::ZeroDuration(), clock_.Now() - stored);
}

void StalenessSampler::Follow(SamplePtr sample, absl::Duration heard_at) {
  followed_.insert(sample->id);
  while (sample->first_age < kStalenessAges.size() &&
         kStalenessAges[sample->first_age] < heard_at) {
    ++sample->first_age;
  }
  if (sample->first_age > 0) ++late_total_;
  for (size_t age = 0; age < kStalenessAges.size(); ++age) {
    const absl::Duration left = std::max(absl::ZeroDuration(), kStalenessAges[age] - heard_at);
    gate_.PostAfter(left, [this, sample, age] { Look(sample, age); });
  }
}

void StalenessSampler::Look(const SamplePtr& sample, size_t age) {
  if (age + 1 == kStalenessAges.size()) followed_.erase(sample->id);
  LookAtNodes(sample, age);
  LookAtStore(sample, age, options_.own_region, own_);
  const bool stays = sample->fence ? sample->fence->local
                                   : mode_of_(sample->name_space()) == ReplicationMode::kLocal;
  if (!IsChangeOf(sample->version, RegionId(options_.own_region)) || stays) return;
  for (const auto& [region, store] : others_) LookAtStore(sample, age, region, *store);
}

std::vector<TierReport> StalenessSampler::InOwnMemory(const L2Key& key) const {
  std::vector<TierReport> reports;
  const std::optional<NamespaceId> id = engine_.InternNamespace(key.name_space);
  Entry entry;
  if (id &&
      engine_.Peek({.name_space = *id,
                    .slot = key.slot,
                    .hash = engine_.HashOf(*id, key.key),
                    .key = key.key},
                   clock_.Monotonic(), &entry) &&
      !IsAbsence(entry)) {
    reports.push_back(ReportOf(entry, /*mirror=*/false, Holding::kValue));
  }
  if (id && mirrors_ != nullptr && mirrors_->Peek(key.name_space, key.key, &entry)) {
    const uint64_t written = entry.written != 0 ? entry.written : entry.version.hlc;
    const bool dead = engine_.fences().Covers(*id, key.key, entry.tags.view(), written);
    reports.push_back(ReportOf(entry, /*mirror=*/true, dead ? Holding::kFenced : Holding::kValue));
  }
  return reports;
}

void StalenessSampler::LookAtNodes(const SamplePtr& sample, size_t age) {
  const TopologyHolder::Snapshot topology = topology_.Get();
  const absl::Time deadline = clock_.Now() + options_.timeout;
  for (const Member& member : topology->members()) {
    const bool own = member.id == options_.node_id;
    const Place place{options_.own_region, member.id};
    if (sample->fence && own) {
      JudgeFence(sample, age, place, fences_.ClockOf(*sample->fence));
    } else if (sample->fence) {
      peers_.GetFence(member, *sample->fence, deadline,
                      gate_.Reply<absl::StatusOr<uint64_t>>(
                          [this, sample, age, place](const absl::StatusOr<uint64_t>& clock) {
                            if (clock.ok()) {
                              JudgeFence(sample, age, place, *clock);
                            } else {
                              ++unanswered_total_;
                            }
                          }));
    } else if (own) {
      JudgeNode(sample, age, member.id, InOwnMemory(sample->key));
    } else {
      using Reports = absl::StatusOr<std::vector<TierReport>>;
      peers_.Explain(member, sample->key.name_space, sample->key.key, PeerTransport::Tiers::kMemory,
                     deadline,
                     gate_.Reply<Reports>([this, sample, age, place](const Reports& reports) {
                       if (reports.ok()) {
                         JudgeNode(sample, age, place.name, *reports);
                       } else {
                         ++unanswered_total_;
                       }
                     }));
    }
  }
}

void StalenessSampler::LookAtStore(const SamplePtr& sample, size_t age, const std::string& region,
                                   L2Store& store) {
  std::vector<L2Key> keys = {sample->key};
  // Superfluous fences are removed: the one of the namespace says as much, if it is there.
  if (sample->fence) {
    keys.push_back(
        FenceKey({.name_space = sample->fence->name_space, .local = sample->fence->local}));
  }
  using Records = std::vector<L2Record>;
  store.FetchFromPrimary(std::move(keys), clock_.Now() + options_.timeout,
                         gate_.Reply<Records>([this, sample, age, region](const Records& records) {
                           JudgeStore(sample, age, region, records);
                         }));
}

void StalenessSampler::JudgeStore(const SamplePtr& sample, size_t age, const std::string& region,
                                  const std::vector<L2Record>& records) {
  std::optional<Version> found;
  for (const L2Record& record : records) {
    if (!record.status.ok()) {
      ++unanswered_total_;
      return;
    }
    const absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
    if (parsed.ok() && parsed->kind == RecordKind::kValue && parsed->expires_at > clock_.Now()) {
      found = std::max(found.value_or(Version()), parsed->version);
    }
  }
  const Place place{region, kRedis};
  if (sample->fence) {
    JudgeFence(sample, age, place, found.value_or(Version()).hlc);
  } else {
    Judge(sample, age, place, found);
  }
}

void StalenessSampler::JudgeNode(const SamplePtr& sample, size_t age, const std::string& node,
                                 const std::vector<TierReport>& reports) {
  std::optional<Version> in_l1;
  std::optional<Version> in_mirror;
  const TopologyHolder::Snapshot topology = topology_.Get();
  const Member* const owner = topology->OwnerOf(sample->key.slot);
  const bool owns = owner != nullptr && owner->id == node;
  bool has_mirror = false;
  for (const TierReport& report : reports) {
    if (report.tier != Tier::kL1) continue;
    has_mirror |= report.mirror;
    if (report.holding != Holding::kValue) continue;
    (report.mirror ? in_mirror : in_l1) = report.version;
  }
  // Where nobody would look, nothing is right: the others count with what they have, and those that
  // were wrong, and have nothing any more.
  const auto was_wrong = [&](const Place& place) {
    return sample->incidents.count({place.region, place.name}) > 0;
  };
  const Place l1{options_.own_region, node};
  if (owns || in_l1 || was_wrong(l1)) Judge(sample, age, l1, in_l1);
  const Place mirror{options_.own_region, node + kMirrorPlace, /*is_mirror=*/true};
  if (has_mirror || was_wrong(mirror)) Judge(sample, age, mirror, in_mirror);
}

void StalenessSampler::Judge(const SamplePtr& sample, size_t age, const Place& place,
                             std::optional<Version> found) {
  Count(sample, age, place, !found || *found >= sample->version, found.value_or(Version()));
}

void StalenessSampler::JudgeFence(const SamplePtr& sample, size_t age, const Place& place,
                                  uint64_t clock) {
  Count(sample, age, place, clock >= sample->version.hlc, Version{clock, 0});
}

void StalenessSampler::Count(const SamplePtr& sample, size_t age, const Place& place, bool right,
                             Version found) {
  const bool known = rows_.count({sample->name_space(), place.region}) > 0;
  const std::string name = known || rows_.size() < kMaxRows ? sample->name_space() : "(others)";
  StalenessRow& row = rows_[{name, place.region}];
  row.name_space = name;
  row.region = place.region;
  if (!right) {
    ++row.wrong[age];
    Note(sample, age, place, found);
    return;
  }
  if (age >= sample->first_age) ++row.right[age];
  const auto incident = sample->incidents.find({place.region, place.name});
  if (incident != sample->incidents.end() && incident->second >= first_incident_) {
    incidents_[incident->second - first_incident_].over = true;
  }
}

void StalenessSampler::Note(const SamplePtr& sample, size_t age, const Place& place,
                            Version found) {
  // From which look on it is an incident.
  const size_t bound = place.region != options_.own_region || place.is_mirror ? 1 : 0;
  if (age < bound) return;
  const uint64_t next = first_incident_ + incidents_.size();
  const auto [it, is_new] = sample->incidents.emplace(std::pair(place.region, place.name), next);
  if (is_new) {
    StalenessIncident incident;
    incident.at = clock_.Now();
    incident.name_space = sample->name_space();
    incident.key = sample->fence ? sample->fence->name : sample->key.key;
    incident.slot = sample->key.slot;
    incident.region = place.region;
    incident.place = place.name;
    incident.age = kStalenessAges[age];
    incident.expected = sample->version;
    incident.found = found;
    incident.cause = CauseOf(sample, place);
    if (sample->fence) incident.fence = sample->fence->scope;
    incidents_.push_back(std::move(incident));
    if (incidents_.size() > options_.max_incidents) {
      incidents_.pop_front();
      ++first_incident_;
    }
  } else if (it->second >= first_incident_) {
    incidents_[it->second - first_incident_].age = kStalenessAges[age];
  }
  MendHere(*sample, place);
}

void StalenessSampler::MendHere(const Sample& sample, const Place& place) {
  if (place.is_mirror) {
    if (place.name == options_.node_id + kMirrorPlace) {
      mirrors_->Wrote(sample.key.name_space, sample.key.key, sample.version);
    }
    return;
  }
  if (sample.fence || place.name != options_.node_id) return;
  if (const std::optional<NamespaceId> id = engine_.InternNamespace(sample.key.name_space)) {
    engine_.Erase({.name_space = *id,
                   .slot = sample.key.slot,
                   .hash = engine_.HashOf(*id, sample.key.key),
                   .key = sample.key.key},
                  sample.version);
  }
}

const char* StalenessSampler::CauseOf(const SamplePtr& sample, const Place& place) const {
  if (place.name == kRedis) {
    if (place.region == options_.own_region) return "REDIS_WENT_BACK";
    switch (link_of_(place.region)) {
      case LinkState::kCut:
        return "REGION_CUT";
      case LinkState::kStreaming:
        return "CHANGE_MISSED";
      default:
        return "REGION_BEHIND";
    }
  }
  if (sample->fence) return "FENCE_MISSED";
  if (place.is_mirror) return "CHANGE_MISSED";
  const Member* owner = topology_.Get()->OwnerOf(sample->key.slot);
  return owner != nullptr && owner->id == place.name ? "CHANGE_MISSED" : "NOT_OWNER";
}

StalenessReport StalenessSampler::Report() const {
  StalenessReport report;
  for (const auto& [key, row] : rows_) report.rows.push_back(row);
  report.incidents.assign(incidents_.begin(), incidents_.end());
  report.incidents_total = first_incident_ + incidents_.size();
  report.sampled_total = sampled_total_;
  report.fences_sampled_total = fences_sampled_total_;
  report.unanswered_total = unanswered_total_;
  report.late_total = late_total_;
  return report;
}

}  // namespace meridian

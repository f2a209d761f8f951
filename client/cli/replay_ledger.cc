#include "client/cli/replay_ledger.h"

#include "absl/strings/str_cat.h"
#include "client/cli/replay_stats.h"

namespace meridian::cli {

std::vector<ReplayLedger::Expectation> ReplayLedger::Begin(
    size_t region, std::span<const ReplayRequest> requests) {
  std::vector<Expectation> expectations;
  expectations.reserve(requests.size());
  absl::MutexLock lock(&mu_);
  for (const ReplayRequest& request : requests) {
    const auto [found, is_new] =
        index_of_.try_emplace(request.key, static_cast<uint32_t>(keys_.size()));
    if (is_new) {
      keys_.push_back(Key{request.key, 0, request.name_space});
      acknowledged_.resize(acknowledged_.size() + regions_);
    }
    expectations.push_back({found->second, At(region, found->second).version});
  }
  return expectations;
}

ReplayStamp ReplayLedger::Issue(uint32_t index) {
  absl::MutexLock lock(&mu_);
  return ReplayStamp{run_, ++keys_[index].issued};
}

void ReplayLedger::Acknowledge(size_t region, uint32_t index, Version version,
                               uint32_t generation) {
  absl::MutexLock lock(&mu_);
  Acknowledged& newest = At(region, index);
  if (version > newest.version) newest = Acknowledged{version, generation};
}

std::optional<ReplayLedger::Mismatch> ReplayLedger::Judge(const Expectation& expectation,
                                                          uint64_t key_hash,
                                                          const GetResult& result) const {
  if (!result.hit()) return std::nullopt;
  const std::optional<ReplayStamp> stamp = CheckReplayValue(key_hash, result.value);
  if (!stamp) {
    return Mismatch{
        kForeignBytes,
        absl::StrCat(
            "its ", result.value.size(), " bytes are not a value of this key",
            result.source == ResultSource::kOrigin ? ", its namespace's origin gave them" : "")};
  }
  const std::string version = result.version.ToText();
  if (!result.version.is_set()) return Mismatch{"NO_VERSION", "it has no version"};
  if (result.stale) return Mismatch{"STALE", "it is past its TTL, which nobody allowed"};
  if (result.version < expectation.floor) {
    return Mismatch{"OLDER_THAN_ACKNOWLEDGED",
                    absl::StrCat("version ", version, " is older than ", expectation.floor.ToText(),
                                 ", acknowledged in this region before the read")};
  }
  absl::MutexLock lock(&mu_);
  const Key& key = keys_[expectation.index];
  if (stamp->run == run_ && (stamp->generation == 0 || stamp->generation > key.issued)) {
    return Mismatch{"NEVER_WRITTEN",
                    absl::StrCat("generation ", stamp->generation, " was never written")};
  }
  for (size_t region = 0; region < regions_; ++region) {
    const Acknowledged& newest = acknowledged_[expectation.index * regions_ + region];
    if (newest.version != result.version) continue;
    if (newest.generation == 0) {
      return Mismatch{"INVALIDATED", absl::StrCat("version ", version, " was an invalidation")};
    }
    if (stamp->run != run_ || newest.generation != stamp->generation) {
      return Mismatch{"WRONG_GENERATION",
                      absl::StrCat("version ", version, " was given to generation ",
                                   newest.generation, ", the value is of ", stamp->generation)};
    }
  }
  return std::nullopt;
}

std::vector<ReplayRequest> ReplayLedger::KeysIssued(uint32_t generations) const {
  absl::MutexLock lock(&mu_);
  std::vector<ReplayRequest> requests;
  requests.reserve(keys_.size());
  for (const Key& key : keys_) {
    if (key.issued < generations) continue;
    ReplayRequest request;
    request.key = key.key;
    request.name_space = key.name_space;
    requests.push_back(request);
  }
  return requests;
}

}  // namespace meridian::cli

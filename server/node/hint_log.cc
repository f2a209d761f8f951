#include "server/node/hint_log.h"

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// Two map nodes and what they hold, about.
constexpr size_t kOverhead = 256;

}  // namespace

size_t HintLog::BytesOf(const L2Write& write) {
  return kOverhead + 2 * (write.key.name_space.size() + write.key.key.size()) + write.record.size();
}

bool HintLog::Remove(const Name& name, Version upto) {
  const auto found = newest_.find(name);
  if (found == newest_.end() || found->second > upto) return false;
  const auto held = held_.find(found->second);
  stats_.bytes -= BytesOf(held->second.write);
  held_.erase(held);
  newest_.erase(found);
  entries_.store(held_.size(), std::memory_order_release);
  return true;
}

absl::Status HintLog::Add(L2Write write, absl::Duration now) {
  const Name name{write.key.name_space, write.key.key};
  const Version version = write.version;
  const size_t bytes = BytesOf(write);
  absl::MutexLock lock(&mu_);
  if (closed_) {
    ++stats_.refused_total;
    return absl::UnavailableError(
        "SHUTTING_DOWN: the node ends, and takes no more writes without the regional store");
  }
  if (!held_.empty() && now - held_.begin()->second.since > options_.max_age) {
    ++stats_.refused_total;
    return absl::UnavailableError(absl::StrCat(
        "HINTS_FULL: the regional store has been away for longer than ",
        absl::FormatDuration(options_.max_age), ", so that no more writes are taken without it"));
  }
  const auto found = newest_.find(name);
  if (found != newest_.end() && found->second > version) return absl::OkStatus();  // Void already.
  const size_t freed =
      found == newest_.end() ? 0 : BytesOf(held_.find(found->second)->second.write);
  if (stats_.bytes - freed + bytes > options_.max_bytes) {
    ++stats_.refused_total;
    return absl::UnavailableError(absl::StrCat("HINTS_FULL: ", held_.size(),
                                               " writes wait for the regional store already, ",
                                               stats_.bytes, " bytes"));
  }
  Remove(name, version);
  held_.emplace(version, Held{std::move(write), now});
  newest_[name] = version;
  stats_.bytes += bytes;
  ++stats_.accepted_total;
  entries_.store(held_.size(), std::memory_order_release);
  return absl::OkStatus();
}

std::optional<std::string> HintLog::Find(std::string_view name_space, std::string_view key) const {
  absl::MutexLock lock(&mu_);
  const auto found = newest_.find(Name{name_space, key});
  if (found == newest_.end()) return std::nullopt;
  return held_.find(found->second)->second.write.record;
}

std::optional<Version> HintLog::VersionOf(std::string_view name_space, std::string_view key) const {
  absl::MutexLock lock(&mu_);
  const auto found = newest_.find(Name{name_space, key});
  if (found == newest_.end()) return std::nullopt;
  return found->second;
}

void HintLog::Overtaken(std::string_view name_space, std::string_view key, Version version) {
  absl::MutexLock lock(&mu_);
  if (Remove(Name{name_space, key}, version)) ++stats_.overtaken_total;
}

std::vector<L2Write> HintLog::Oldest(size_t count, size_t max_bytes) const {
  absl::MutexLock lock(&mu_);
  std::vector<L2Write> writes;
  size_t bytes = 0;
  for (const auto& [version, held] : held_) {
    bytes += held.write.record.size();
    if (writes.size() == count || (bytes > max_bytes && !writes.empty())) break;
    writes.push_back(held.write);
  }
  return writes;
}

void HintLog::Replayed(const L2Write& write, bool applied) {
  absl::MutexLock lock(&mu_);
  if (!Remove(Name{write.key.name_space, write.key.key}, write.version)) return;
  ++(applied ? stats_.replayed_total : stats_.overtaken_total);
}

void HintLog::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
}

size_t HintLog::Lose() {
  absl::MutexLock lock(&mu_);
  const size_t lost = held_.size();
  stats_.lost_total += lost;
  stats_.bytes = 0;
  held_.clear();
  newest_.clear();
  entries_.store(0, std::memory_order_release);
  return lost;
}

HintStats HintLog::Stats(absl::Duration now) const {
  absl::MutexLock lock(&mu_);
  HintStats stats = stats_;
  stats.entries = held_.size();
  if (!held_.empty()) stats.oldest = now - held_.begin()->second.since;
  return stats;
}

}  // namespace meridian

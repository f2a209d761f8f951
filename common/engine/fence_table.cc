#include "common/engine/fence_table.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/base/hash.h"
#include "common/engine/tag_list.h"

namespace meridian {
namespace {

// Writers are one at a time.
void Raise(std::atomic<uint64_t>& clock, uint64_t hlc) {
  if (clock.load(std::memory_order_relaxed) < hlc) clock.store(hlc, std::memory_order_release);
}

}  // namespace

FenceTable::~FenceTable() { delete state_.load(std::memory_order_relaxed); }

int FenceTable::PrefixDepth(std::string_view prefix) {
  if (prefix.empty() || prefix.back() != ':') return 0;
  const auto depth = std::count(prefix.begin(), prefix.end(), ':');
  return depth <= kMaxPrefixDepth ? static_cast<int>(depth) : 0;
}

uint64_t FenceTable::HashOf(NamespaceId name_space, FenceScope scope, std::string_view name) {
  return Hash64(name, uint64_t{name_space} << 8 | static_cast<uint64_t>(scope));
}

bool FenceTable::Add(NamespaceId name_space, FenceScope scope, std::string_view name,
                     uint64_t hlc) {
  absl::MutexLock lock(&mu_);
  State* state = state_.load(std::memory_order_relaxed);
  if (state == nullptr) {
    state = new State();
    state_.store(state, std::memory_order_release);
  }
  OfNamespace& of = state->of[name_space];
  if (of.all.load(std::memory_order_relaxed) >= hlc) return false;
  if (scope == FenceScope::kNamespace) {
    // It says everything that older ones say.
    Clocks& clocks = clocks_[name_space];
    size_ -= clocks.size();
    absl::erase_if(clocks, [hlc](const auto& clock) { return clock.second <= hlc; });
    size_ += clocks.size();
    Raise(of.all, hlc);
  } else {
    const uint64_t hash = HashOf(name_space, scope, name);
    uint64_t& clock = clocks_[name_space][hash];
    if (clock >= hlc) return false;
    if (clock == 0) ++size_;
    clock = hlc;
    Raise(state->filter[hash % kFilterSize], hlc);
    if (scope == FenceScope::kTag) {
      of.has_tags.store(true, std::memory_order_release);
    } else {
      const uint32_t bit = uint32_t{1} << (PrefixDepth(name) - 1);
      of.depths.store(of.depths.load(std::memory_order_relaxed) | bit, std::memory_order_release);
    }
  }
  Raise(of.newest, hlc);
  changes_.fetch_add(1, std::memory_order_release);
  if (size_ > kMaxFences) MergeLargest();
  return true;
}

void FenceTable::MergeLargest() {
  const auto largest = std::max_element(
      clocks_.begin(), clocks_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  Clocks& clocks = largest->second;
  std::vector<uint64_t> sorted;
  sorted.reserve(clocks.size());
  for (const auto& [hash, hlc] : clocks) sorted.push_back(hlc);
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const uint64_t hlc = *middle;
  size_ -= clocks.size();
  absl::erase_if(clocks, [hlc](const auto& clock) { return clock.second <= hlc; });
  size_ += clocks.size();
  Raise(state_.load(std::memory_order_relaxed)->of[largest->first].all, hlc);
}

uint64_t FenceTable::ClockOf(const State& state, NamespaceId name_space, uint64_t hash,
                             uint64_t from) const {
  if (state.filter[hash % kFilterSize].load(std::memory_order_acquire) < from) return 0;
  absl::ReaderMutexLock lock(&mu_);
  const auto clocks = clocks_.find(name_space);
  if (clocks == clocks_.end()) return 0;
  const auto clock = clocks->second.find(hash);
  return clock == clocks->second.end() || clock->second < from ? 0 : clock->second;
}

template <typename Visit>
bool FenceTable::AnyPrefix(const State& state, NamespaceId name_space, std::string_view key,
                           Visit visit) {
  uint32_t depths = state.of[name_space].depths.load(std::memory_order_acquire);
  size_t end = 0;
  for (; depths != 0; depths >>= 1) {
    end = key.find(':', end);
    if (end == std::string_view::npos) return false;
    ++end;
    if ((depths & 1) != 0 && visit(HashOf(name_space, FenceScope::kPrefix, key.substr(0, end)))) {
      return true;
    }
  }
  return false;
}

bool FenceTable::CoversOld(const State& state, NamespaceId name_space, std::string_view key,
                           std::string_view tags, uint64_t hlc) const {
  const OfNamespace& of = state.of[name_space];
  const auto covers = [&](uint64_t hash) { return ClockOf(state, name_space, hash, hlc) != 0; };
  const auto any = [&] {
    if (AnyPrefix(state, name_space, key, covers)) return true;
    if (!of.has_tags.load(std::memory_order_acquire)) return false;
    while (const std::optional<std::string_view> tag = TakeTag(&tags)) {
      if (covers(HashOf(name_space, FenceScope::kTag, *tag))) return true;
    }
    return false;
  };
  // Once more at the end: fences that were given up meanwhile were in it before they were gone.
  return hlc <= of.all.load(std::memory_order_acquire) || any() ||
         hlc <= of.all.load(std::memory_order_acquire);
}

uint64_t FenceTable::NewestOfKey(NamespaceId name_space, std::string_view key) const {
  const State* state = state_.load(std::memory_order_acquire);
  if (state == nullptr) return 0;
  uint64_t newest = 0;
  AnyPrefix(*state, name_space, key, [&](uint64_t hash) {
    newest = std::max(newest, ClockOf(*state, name_space, hash, newest + 1));
    return false;
  });
  return std::max(newest, state->of[name_space].all.load(std::memory_order_acquire));
}

uint64_t FenceTable::NewestOf(NamespaceId name_space, FenceScope scope,
                              std::string_view name) const {
  const State* state = state_.load(std::memory_order_acquire);
  if (state == nullptr) return 0;
  uint64_t newest = 0;
  if (scope != FenceScope::kNamespace) {
    newest = ClockOf(*state, name_space, HashOf(name_space, scope, name), /*from=*/0);
  }
  // Read last: a fence that was given up meanwhile is in it.
  return std::max(newest, state->of[name_space].all.load(std::memory_order_acquire));
}

bool FenceTable::HasTags(NamespaceId name_space) const {
  const State* state = state_.load(std::memory_order_acquire);
  return state != nullptr && state->of[name_space].has_tags.load(std::memory_order_acquire);
}

size_t FenceTable::size() const {
  absl::ReaderMutexLock lock(&mu_);
  return size_;
}

}  // namespace meridian

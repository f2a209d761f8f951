#include "server/coordinator/coordinator_presence.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

}  // namespace

std::string CoordinatorPresence::MakeHolder(std::string_view id, int pid, absl::Time started) {
  return absl::StrCat(ToAbsl(id), "/", pid, "/", absl::ToUnixMicros(started));
}

std::string CoordinatorPresence::IdOf(std::string_view holder) {
  for (int i = 0; i < 2; ++i) {
    const size_t slash = holder.rfind('/');
    if (slash == std::string_view::npos) break;
    holder = holder.substr(0, slash);
  }
  return std::string(holder);
}

absl::Time CoordinatorPresence::StartOf(std::string_view holder) {
  const size_t slash = holder.rfind('/');
  int64_t micros = 0;
  if (slash != std::string_view::npos) {
    (void)absl::SimpleAtoi(ToAbsl(holder.substr(slash + 1)), &micros);
  }
  return absl::FromUnixMicros(micros);
}

void CoordinatorPresence::Hear(const std::string& holder, absl::Time now) {
  const std::string id = IdOf(holder);
  const auto found = known_.find(id);
  if (found == known_.end()) {
    if (known_.size() < kMaxKnown) known_[id] = {.holder = holder, .first = now, .heard = now};
    return;
  }
  KnownCoordinator& one = found->second;
  // A note of an earlier start may outlive it by some seconds; after those, it was the clock.
  if (!one.down && StartOf(holder) < StartOf(one.holder)) return;
  one.holder = holder;
  one.heard = now;
  one.down = false;
}

void CoordinatorPresence::Leave(const std::string& holder) {
  const auto found = known_.find(IdOf(holder));
  if (found != known_.end() && found->second.holder == holder) known_.erase(found);
}

void CoordinatorPresence::Look(absl::Time now) {
  for (auto it = known_.begin(); it != known_.end();) {
    const absl::Duration silent = now - it->second.heard;
    it->second.down = silent >= kMissedAfter;
    it = silent < kForgottenAfter ? std::next(it) : known_.erase(it);
  }
  FillPlaces();
}

void CoordinatorPresence::FillPlaces() {
  std::vector<std::pair<absl::Time, std::string>> empty;  // Since when, and whose.
  for (const auto& [id, one] : known_) {
    if (one.down) empty.emplace_back(one.heard, id);
  }
  std::sort(empty.begin(), empty.end());
  for (const auto& [since, id] : empty) {
    const auto takes =
        std::find_if(known_.begin(), known_.end(), [this, since = since](const auto& one) {
          return !one.second.down && !one.second.took_place && one.second.first >= since - delay_;
        });
    if (takes == known_.end()) continue;
    takes->second.took_place = true;
    known_.erase(id);
  }
}

std::string CoordinatorPresence::Encode() const {
  ordered_json list = ordered_json::array();
  for (const auto& [id, one] : known_) {
    list.push_back({{"holder", one.holder},
                    {"first_ms", absl::ToUnixMillis(one.first)},
                    {"down_since_ms", one.down ? absl::ToUnixMillis(one.heard) : 0},
                    {"took_place", one.took_place}});
  }
  return list.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

bool CoordinatorPresence::Restore(const std::string& encoded, absl::Time now) {
  known_.clear();
  const ordered_json list = ordered_json::parse(encoded, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return false;
  for (const ordered_json& one : list) {
    if (!one.is_object() || !one.contains("holder") || !one["holder"].is_string()) {
      known_.clear();
      return false;
    }
    const auto number = [&one](const char* name) {
      return one.contains(name) && one[name].is_number_integer() ? one[name].get<int64_t>() : 0;
    };
    KnownCoordinator known;
    known.holder = one["holder"].get<std::string>();
    known.first = std::min(absl::FromUnixMillis(number("first_ms")), now);
    const int64_t down_since = number("down_since_ms");
    known.down = down_since != 0;
    known.heard = known.down ? std::min(absl::FromUnixMillis(down_since), now) : now;
    known.took_place = one.contains("took_place") && one["took_place"].is_boolean() &&
                       one["took_place"].get<bool>();
    if (known_.size() < kMaxKnown) known_[IdOf(known.holder)] = std::move(known);
  }
  return true;
}

}  // namespace meridian

#include "server/coordinator/hot_key_history.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"

namespace meridian {
namespace {

using coordinator::v1::HotKeyHour;
using ProtoKeys = google::protobuf::RepeatedPtrField<coordinator::v1::HotKey>;

// A key that nobody asks for any more loses half its rate every week, and then its place.
constexpr double kLeastPerSecond = 0.001;

std::string KeyOf(int hour) { return absl::StrCat("hot-keys/", hour); }

absl::Time HourOf(absl::Time time) {
  return absl::FromCivil(absl::ToCivilHour(time, absl::UTCTimeZone()), absl::UTCTimeZone());
}

// Keeps the hottest of each namespace, then the second of each, and so on; hottest first.
void KeepFairly(size_t limit, size_t bytes, std::vector<HotKey>* keys) {
  KeepHottest(keys->size(), keys);
  std::map<std::string, size_t> seen;            // By namespace.
  std::vector<std::pair<size_t, size_t>> turns;  // Which of its namespace, and of all.
  for (size_t i = 0; i < keys->size(); ++i) turns.emplace_back(seen[(*keys)[i].name_space]++, i);
  std::sort(turns.begin(), turns.end());
  std::vector<HotKey> kept;
  for (size_t i = 0; i < turns.size() && i < limit; ++i) {
    kept.push_back(std::move((*keys)[turns[i].second]));
  }
  KeepBytes(bytes, &kept);
  KeepHottest(kept.size(), &kept);
  *keys = std::move(kept);
}

void Bound(std::vector<HotKey>* keys) {
  KeepFairly(HotKeyHistory::kMaxKeys, HotKeyHistory::kMaxBytes, keys);
}

void ToProto(const std::vector<HotKey>& keys, ProtoKeys* proto) {
  for (const HotKey& key : keys) {
    coordinator::v1::HotKey* added = proto->Add();
    added->set_namespace_(key.name_space);
    added->set_key(key.key);
    added->set_rate(key.per_second);
  }
}

std::vector<HotKey> FromProto(const ProtoKeys& proto) {
  std::vector<HotKey> keys;
  for (const coordinator::v1::HotKey& key : proto) {
    keys.push_back({key.namespace_(), key.key(), key.rate()});
  }
  Bound(&keys);
  return keys;
}

absl::StatusOr<HotKeyHour> FromText(const std::optional<std::string>& text) {
  HotKeyHour hour;
  if (text.has_value() && !hour.ParseFromString(*text)) {
    return absl::DataLossError("CORRUPT_RECORD: what is stored of this hour cannot be read");
  }
  return hour;
}

// What an hour comes to when it is over.
std::vector<HotKey> ProfileOf(const HotKeyHour& hour) {
  if (hour.looks() == 0) return FromProto(hour.before());
  std::map<std::pair<std::string, std::string>, double> rates;
  const double share = hour.before_size() == 0 ? 1 : 0.5;
  for (const auto& key : hour.keys()) rates[{key.namespace_(), key.key()}] += share * key.rate();
  for (const auto& key : hour.before()) rates[{key.namespace_(), key.key()}] += 0.5 * key.rate();
  std::vector<HotKey> keys;
  for (const auto& [name, rate] : rates) {
    if (rate >= kLeastPerSecond) keys.push_back({name.first, name.second, rate});
  }
  Bound(&keys);
  return keys;
}

}  // namespace

int HourOfWeek(absl::Time time) {
  const absl::CivilHour hour = absl::ToCivilHour(time, absl::UTCTimeZone());
  const absl::Weekday day = absl::GetWeekday(absl::CivilDay(hour));
  return 24 * static_cast<int>(day) + hour.hour();  // Monday is 0.
}

HotKeyHistory::HotKeyHistory(std::string lease, LeaseStore& store, Executor& executor,
                             const Clock& clock, Look look)
    : lease_(std::move(lease)),
      store_(store),
      executor_(executor),
      clock_(clock),
      look_(std::move(look)) {}

void HotKeyHistory::Lead(uint64_t token) {
  token_ = token;
  ++generation_;
  hours_.clear();
  LookLater();
}

void HotKeyHistory::StepDown() {
  token_ = 0;
  ++generation_;
  hours_.clear();
}

void HotKeyHistory::LookLater() {
  executor_.PostAfter(kLook, [this, generation = generation_] {
    if (generation != generation_) return;
    LookNow();
    LookLater();
  });
}

void HotKeyHistory::LookNow() {
  const absl::Time now = HourOf(clock_.Now());
  Hour& hour = hours_[now];
  std::vector<HotKey> keys = look_();
  Bound(&keys);
  for (HotKey& key : keys) {
    hour.sums[{std::move(key.name_space), std::move(key.key)}] += key.per_second;
  }
  ++hour.looks;
  // Keys come and go during an hour.
  if (hour.sums.size() > 4 * kMaxKeys) {
    std::vector<HotKey> sums;
    for (const auto& [name, sum] : hour.sums) sums.push_back({name.first, name.second, sum});
    KeepFairly(2 * kMaxKeys, 2 * kMaxBytes, &sums);
    hour.sums.clear();
    for (HotKey& key : sums) {
      hour.sums[{std::move(key.name_space), std::move(key.key)}] = key.per_second;
    }
  }
  for (auto it = hours_.begin(); it != hours_.end();) {
    it = Tend(it->first, it->first != now, &it->second) ? std::next(it) : hours_.erase(it);
  }
  while (hours_.size() > kMaxOpenHours) {
    spdlog::warn("the hot keys of the hour of {} could not be stored and are lost",
                 absl::FormatTime(hours_.begin()->first, absl::UTCTimeZone()));
    hours_.erase(hours_.begin());
  }
}

bool HotKeyHistory::Tend(absl::Time began, bool is_over, Hour* hour) {
  if (hour->is_busy) return true;
  if (!hour->is_loaded) {
    hour->is_busy = true;
    LoadHour(began);
    return true;
  }
  const uint32_t fresh = hour->looks - hour->stored_looks;
  if (fresh == 0) return !is_over;
  if (is_over || fresh >= kLooksAStore) StoreHour(began, hour);
  return true;
}

void HotKeyHistory::LoadHour(absl::Time began) {
  store_.GetValue(KeyOf(HourOfWeek(began)),
                  [this, executor = &executor_, generation = generation_, began](Value value) {
                    executor->Post([this, generation, began, value = std::move(value)] {
                      if (generation == generation_) HandleLoaded(began, value);
                    });
                  });
}

void HotKeyHistory::HandleLoaded(absl::Time began, const Value& value) {
  const auto it = hours_.find(began);
  if (it == hours_.end()) return;
  Hour& hour = it->second;
  hour.is_busy = false;
  NoteStatus(value.status());
  if (!value.ok()) return;
  hour.is_loaded = true;
  const absl::StatusOr<HotKeyHour> stored = FromText(*value);
  if (!stored.ok()) {
    spdlog::error("{}; they are written anew", stored.status().ToString());
    return;
  }
  if (stored->began_unix_seconds() != absl::ToUnixSeconds(began)) {
    hour.before = ProfileOf(*stored);
    return;
  }
  // Of this very hour: a leader before us has looked at it.
  hour.before = FromProto(stored->before());
  for (const HotKey& key : FromProto(stored->keys())) {
    hour.sums[{key.name_space, key.key}] += key.per_second * stored->looks();
  }
  hour.looks += stored->looks();
  hour.stored_looks = stored->looks();
}

void HotKeyHistory::StoreHour(absl::Time began, Hour* hour) {
  std::vector<HotKey> means;
  for (const auto& [name, sum] : hour->sums) {
    means.push_back({name.first, name.second, sum / hour->looks});
  }
  Bound(&means);
  HotKeyHour stored;
  stored.set_began_unix_seconds(absl::ToUnixSeconds(began));
  stored.set_looks(hour->looks);
  ToProto(means, stored.mutable_keys());
  ToProto(hour->before, stored.mutable_before());
  hour->is_busy = true;
  store_.PutFenced(lease_, token_, KeyOf(HourOfWeek(began)), stored.SerializeAsString(),
                   [this, executor = &executor_, generation = generation_, began,
                    looks = hour->looks](const absl::Status& status) {
                     executor->Post([this, generation, began, looks, status] {
                       if (generation == generation_) HandleStored(began, looks, status);
                     });
                   });
}

void HotKeyHistory::HandleStored(absl::Time began, uint32_t looks, const absl::Status& status) {
  NoteStatus(status);
  const auto it = hours_.find(began);
  if (it == hours_.end()) return;
  it->second.is_busy = false;
  if (status.ok()) it->second.stored_looks = looks;
}

void HotKeyHistory::NoteStatus(const absl::Status& status) {
  if (!status.ok() && !failing_) {
    spdlog::warn("the history of hot keys can be neither read nor stored: {}", status.ToString());
  } else if (status.ok() && failing_) {
    spdlog::info("the history of hot keys is stored again");
  }
  failing_ = !status.ok();
}

void HotKeyHistory::LoadHourOf(absl::Time time, Profile done) {
  const absl::Time began = HourOf(time);
  store_.GetValue(KeyOf(HourOfWeek(began)),
                  [executor = &executor_, began, done = std::move(done)](Value value) {
                    executor->Post([began, done, value = std::move(value)] {
                      if (!value.ok()) return done(value.status());
                      const absl::StatusOr<HotKeyHour> stored = FromText(*value);
                      if (!stored.ok()) return done(stored.status());
                      const bool is_it = stored->began_unix_seconds() == absl::ToUnixSeconds(began);
                      done(is_it ? FromProto(stored->keys()) : std::vector<HotKey>());
                    });
                  });
}

void HotKeyHistory::Load(int hour, Profile done) {
  store_.GetValue(KeyOf(hour), [executor = &executor_, done = std::move(done)](Value value) {
    executor->Post([done, value = std::move(value)] {
      if (!value.ok()) return done(value.status());
      const absl::StatusOr<HotKeyHour> stored = FromText(*value);
      if (!stored.ok()) return done(stored.status());
      done(ProfileOf(*stored));
    });
  });
}

}  // namespace meridian

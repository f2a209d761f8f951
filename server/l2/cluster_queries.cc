// What ClusterRoute asks of all primaries: walks, the count of changes, health.

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/l2/cluster_route.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

// "<fingerprint of the table>|<index of the primary>|<its cursor>"
struct ScanPlace {
  uint64_t fingerprint = 0;
  size_t primary = 0;
  std::string cursor = "0";
};

std::optional<ScanPlace> ParseScanPlace(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '|');
  ScanPlace place;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &place.fingerprint) ||
      !absl::SimpleAtoi(parts[1], &place.primary)) {
    return std::nullopt;
  }
  place.cursor = parts[2];
  return place;
}

std::string ScanPlaceText(const ScanPlace& place) {
  return absl::StrCat(place.fingerprint, "|", place.primary, "|", place.cursor);
}

// What changes with every write: the count of changes since the last save, and that save's time.
std::string ChangeMarkOf(std::string_view info) {
  std::string mark;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(info), '\n')) {
    if (absl::StartsWith(line, "rdb_changes_since_last_save:") ||
        absl::StartsWith(line, "rdb_last_save_time:")) {
      absl::StrAppend(&mark, absl::StripAsciiWhitespace(line), ";");
    }
  }
  return mark;
}

absl::Status NoServers() {
  return absl::UnavailableError("L2_UNAVAILABLE: the servers of the Redis Cluster are not known");
}

}  // namespace

void ClusterRoute::Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) {
  const std::shared_ptr<const Map> map = CurrentMap();
  if (map == nullptr) {
    done(NoServers());
    return;
  }
  const uint64_t fingerprint = map->table.Fingerprint();
  ScanPlace place;
  place.fingerprint = fingerprint;
  if (!from.empty()) {
    const std::optional<ScanPlace> parsed = ParseScanPlace(from);
    // Keys may have moved from where the walk has yet to come to where it has been.
    if (!parsed || parsed->fingerprint != fingerprint || parsed->primary >= map->clients.size()) {
      done(absl::AbortedError("slots of the Redis Cluster have moved: begin the walk anew"));
      return;
    }
    place = *parsed;
  }
  const size_t primaries = map->clients.size();
  map->clients[place.primary]->Submit(
      RedisLane::kRead, {ScanCommand(place.cursor, count)}, deadline,
      [this, place, primaries, done = std::move(done)](RedisReplies replies) mutable {
        absl::StatusOr<ScanPage> page = TakeScanPage(std::move(replies[0]));
        if (!page.ok()) return done(page.status());
        place.cursor = page->next;
        if (place.cursor.empty()) {
          place.cursor = "0";
          ++place.primary;
        }
        const bool last = place.primary == primaries;
        page->next = last ? "" : ScanPlaceText(place);
        if (last && CurrentMap()->table.Fingerprint() != place.fingerprint) {
          return done(
              absl::AbortedError("slots of the Redis Cluster have moved: begin the walk anew"));
        }
        done(std::move(page));
      });
}

// The same of each primary.
struct ClusterRoute::Asking {
  std::vector<RedisReplies> replies;
  size_t left = 0;
  EachDone done;
};

void ClusterRoute::AskEachOf(const Map& map, const std::vector<RedisCommand>& commands,
                             absl::Time deadline, EachDone done) {
  auto asking = std::make_shared<Asking>();
  asking->replies.resize(map.clients.size());
  asking->left = map.clients.size();
  asking->done = std::move(done);
  for (size_t i = 0; i < map.clients.size(); ++i) {
    map.clients[i]->Submit(RedisLane::kRead, commands, deadline,
                           [this, asking, i](RedisReplies replies) {
                             // One at a time: some may fail on the stack of this call.
                             loop_.Post([asking, i, replies = std::move(replies)]() mutable {
                               asking->replies[i] = std::move(replies);
                               if (--asking->left == 0) asking->done(std::move(asking->replies));
                             });
                           });
  }
}

void ClusterRoute::AskEach(std::vector<RedisCommand> commands, absl::Time deadline, EachDone done) {
  const std::shared_ptr<const Map> map = CurrentMap();
  if (map == nullptr) {
    done({RedisReplies(commands.size(), NoServers())});
    return;
  }
  AskEachOf(*map, commands, deadline, std::move(done));
}

void ClusterRoute::ChangeCount(absl::Time deadline, CountDone done) {
  const std::shared_ptr<const Map> map = CurrentMap();
  if (map == nullptr) {
    done(NoServers());
    return;
  }
  AskEachOf(*map, {RedisCommand::Plain("changes", CommandOf({"INFO", "persistence"}))}, deadline,
            [fingerprint = map->table.Fingerprint(),
             done = std::move(done)](const std::vector<RedisReplies>& servers) {
              std::string marks = absl::StrCat(fingerprint, ":");
              size_t failed = 0;
              bool known = true;
              for (const RedisReplies& replies : servers) {
                const std::string mark =
                    replies[0].ok() ? ChangeMarkOf(replies[0]->text()) : std::string();
                failed += replies[0].ok() ? 0 : 1;
                known &= !mark.empty();
                marks += mark;
              }
              if (failed == servers.size()) return done(servers.back()[0].status());
              // A server that does not say: not known.
              done(known ? std::max<uint64_t>(Hash64(marks), 1) : uint64_t{0});
            });
}

std::vector<uint32_t> ClusterRoute::AwaySlots() const {
  const std::shared_ptr<const Map> map = CurrentMap();
  if (map == nullptr) return {};
  std::vector<bool> away;
  for (const std::shared_ptr<RedisClient>& client : map->clients) {
    away.push_back(client->IsAway());
  }
  const bool any = std::count(away.begin(), away.end(), true) > 0;
  if (!any && map->covered == kRedisSlotCount) return {};
  std::vector<uint32_t> slots;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const std::optional<size_t> primary = map->table.PrimaryOf(RedisHashSlotOf(slot));
    if (!primary || away[*primary]) slots.push_back(slot);
  }
  if (slots.size() == kSlotCount) return {};
  return slots;
}

L2Health ClusterRoute::Health() const {
  std::shared_ptr<const Map> map;
  absl::Status problem;
  {
    absl::MutexLock lock(&mu_);
    map = map_;
    problem = problem_;
  }
  L2Health health;
  if (map == nullptr) {
    health.problem = problem.ok() ? "the servers of the cluster are not known yet"
                                  : std::string(problem.message());
    health.address = options_.url.address();
    return health;
  }
  health.connected = true;
  for (const std::shared_ptr<RedisClient>& client : map->clients) {
    const L2Health one = client->Health();
    health.connected &= one.connected;
    if (one.breaker != "closed" && health.breaker != "open") health.breaker = one.breaker;
    health.endpoints.insert(health.endpoints.end(), one.endpoints.begin(), one.endpoints.end());
    if (health.problem.empty() && !one.problem.empty()) {
      health.problem = absl::StrCat(client->address().text(), ": ", one.problem);
    }
  }
  health.address = options_.url.address();
  if (map->covered < kRedisSlotCount) {
    health.problem = absl::StrCat(kRedisSlotCount - map->covered, " hash slots have no server");
  } else if (!problem.ok()) {
    health.problem = std::string(problem.message());
  }
  return health;
}

}  // namespace meridian

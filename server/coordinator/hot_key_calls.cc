#include "server/coordinator/hot_key_calls.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "server/coordinator/field_error.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

void Fill(const std::vector<HotKey>& keys, coordinator::v1::ListHotKeysResponse* response) {
  for (const HotKey& key : keys) {
    coordinator::v1::HotKey* added = response->add_keys();
    added->set_namespace_(key.name_space);
    added->set_key(key.key);
    added->set_rate(key.per_second);
  }
}

}  // namespace

std::vector<HotKey> FromProto(const coordinator::v1::HotKeyReport& report) {
  std::vector<HotKey> keys;
  for (const coordinator::v1::HotKey& key : report.keys()) {
    if (keys.size() == kMaxReportedHotKeys) break;
    if (limits::CheckNamespace(key.namespace_()) || limits::CheckKey(key.key(), "hot_keys.keys") ||
        !std::isfinite(key.rate()) || key.rate() <= 0) {
      continue;
    }
    keys.push_back({key.namespace_(), key.key(), key.rate()});
  }
  return keys;
}

void ListHotKeys(HotKeyLead& hot_keys, const coordinator::v1::ListHotKeysRequest& request,
                 coordinator::v1::ListHotKeysResponse* response,
                 std::function<void(const grpc::Status&)> done) {
  if (request.limit() > limits::kMaxHotKeys) {
    return done(
        FieldError("limit", absl::StrCat(request.limit(), " is more than ", limits::kMaxHotKeys)));
  }
  if (!request.namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request.namespace_())) {
      return done(ToGrpcStatus(*error));
    }
  }
  const size_t limit = request.limit() == 0 ? limits::kDefaultHotKeys : request.limit();
  if (!request.has_hour_of_week()) {
    Fill(hot_keys.Now(request.namespace_(), limit), response);
    return done(grpc::Status::OK);
  }
  if (request.hour_of_week() >= HotKeyHistory::kHours) {
    return done(FieldError("hour_of_week", absl::StrCat(request.hour_of_week(), " is not 0..",
                                                        HotKeyHistory::kHours - 1)));
  }
  hot_keys.history().Load(
      static_cast<int>(request.hour_of_week()),
      [name_space = request.namespace_(), limit, response,
       done = std::move(done)](const absl::StatusOr<std::vector<HotKey>>& profile) {
        if (!profile.ok()) return done(ToGrpcStatus(FromStatus(profile.status())));
        std::vector<HotKey> keys = *profile;
        if (!name_space.empty()) {
          keys.erase(
              std::remove_if(keys.begin(), keys.end(),
                             [&](const HotKey& key) { return key.name_space != name_space; }),
              keys.end());
        }
        KeepHottest(limit, &keys);
        Fill(keys, response);
        done(grpc::Status::OK);
      });
}

}  // namespace meridian

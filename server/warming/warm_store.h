// WarmStore keeps the state of warming (LeaderStore): one document with all jobs and schedules, and
// the keys of each job under a name of its own.
//
// Thread safety and promise: those of LeaderStore.

#ifndef MERIDIAN_SERVER_WARMING_WARM_STORE_H_
#define MERIDIAN_SERVER_WARMING_WARM_STORE_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/node/leader_store.h"
#include "server/warming/warm_job.h"

namespace meridian {

class WarmStore : public LeaderStore {
 public:
  using TextLoaded = std::function<void(const absl::StatusOr<std::optional<WarmText>>&)>;

  WarmStore(std::string lease, LeaseStore& store, Executor& executor, Hooks hooks)
      : LeaderStore({std::move(lease), "warm/state", "warm/keys/"}, store, executor,
                    std::move(hooks)) {}

  // The keys of a job; nullopt: there are none that can be read.
  void LoadText(const std::string& id, TextLoaded loaded) {
    LoadPart(id,
             [loaded = std::move(loaded)](const absl::StatusOr<std::optional<std::string>>& value) {
               if (!value.ok()) return loaded(value.status());
               loaded(value->has_value() ? WarmText::FromJsonText(**value) : std::nullopt);
             });
  }
  void PutText(const std::string& id, const WarmText& text) { PutPart(id, text.ToJsonText()); }
  void DropText(const std::string& id) { DropPart(id); }
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_STORE_H_

// WarmStore keeps the state of warming in the LeaseStore, under the leader's fencing token: one
// document with all jobs and schedules, and the keys of each job under a name of its own.
//
// Promise: what a Save answered OK is what the next leader loads; the document and the keys that
//   changed with it are stored together or not at all. Saves while one is on its way wait and go
//   out as one. A write that fails is tried again until it is stored or leadership ends.
// Cost: a Save writes the document, a few hundred bytes a job, and the keys of new jobs.
// Thread safety: all methods and callbacks on the executor. REQUIRES: the executor is stopped
//   before this is destroyed, and outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_WARMING_WARM_STORE_H_
#define MERIDIAN_SERVER_WARMING_WARM_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"
#include "server/warming/warm_job.h"

namespace meridian {

class WarmStore {
 public:
  struct Hooks {
    std::function<std::string()> document;              // As it is now.
    std::function<void()> on_stored;                    // A Save was.
    std::function<void(const std::string&)> on_fenced;  // Another coordinator leads.
  };
  using Done = std::function<void(const absl::Status&)>;
  using Loaded = std::function<void(const absl::StatusOr<std::optional<std::string>>&)>;
  using TextLoaded = std::function<void(const absl::StatusOr<std::optional<WarmText>>&)>;

  WarmStore(std::string lease, LeaseStore& store, Executor& executor, Hooks hooks);

  // Under this token from now on; what waits for an earlier one is answered with kUnavailable.
  void Lead(uint64_t token);
  void StepDown() { Lead(0); }

  // The document. Not called when leadership ends meanwhile.
  void Load(Loaded loaded);
  // The keys of a job; nullopt: there are none that can be read.
  void LoadText(const std::string& id, TextLoaded loaded);

  // With the next Save.
  void PutText(const std::string& id, const WarmText& text) { texts_[id] = text.ToJsonText(); }
  void DropText(const std::string& id) { texts_[id] = std::nullopt; }
  // False while the keys of a job wait to be stored, and so the job.
  bool IsStored(const std::string& id) const;

  // Stores the document as it is now or later. `done` (may be empty) is told how the first attempt
  // ended.
  void Save(Done done);

 private:
  void Write();
  void HandleWritten(uint64_t generation, const absl::Status& status);

  const std::string lease_;
  LeaseStore& store_;   // Not owned; outlives this.
  Executor& executor_;  // Not owned; outlives this.
  const Hooks hooks_;

  uint64_t token_ = 0;
  uint64_t generation_ = 0;  // Of the leadership; one may follow another under the same token.
  bool dirty_ = false;       // A Save waits.
  bool writing_ = false;
  std::vector<Done> waiting_;                                // Of the next write.
  std::vector<Done> told_;                                   // Of the write on its way.
  std::map<std::string, std::optional<std::string>> texts_;  // Of the next write.
  std::map<std::string, std::optional<std::string>> sent_;   // Of the write on its way.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_STORE_H_

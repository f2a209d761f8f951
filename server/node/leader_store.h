// LeaderStore keeps what the leading coordinator must hand to the next one, in the LeaseStore under
// the leader's fencing token: one document, and parts that are large and seldom change under names
// of their own.
//
// Promise: what a Save answered OK is what the next leader loads; the document and the parts that
//   changed with it are stored together or not at all. Saves while one is on its way wait and go
//   out as one. A write that fails is tried again until it is stored or leadership ends.
// Cost: a Save writes the document and the parts that have changed.
// Thread safety: all methods and callbacks on the executor. REQUIRES: the executor is stopped
//   before this is destroyed, and outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_NODE_LEADER_STORE_H_
#define MERIDIAN_SERVER_NODE_LEADER_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"

namespace meridian {

class LeaderStore {
 public:
  struct Names {
    std::string lease;
    std::string document;  // Its key.
    std::string parts;     // What the keys of parts begin with.
  };
  struct Hooks {
    std::function<std::string()> document;              // As it is now.
    std::function<void()> on_stored;                    // What `document` gave last is stored.
    std::function<void(const std::string&)> on_fenced;  // Another coordinator leads.
  };
  using Done = std::function<void(const absl::Status&)>;
  using Loaded = std::function<void(const absl::StatusOr<std::optional<std::string>>&)>;

  LeaderStore(Names names, LeaseStore& store, Executor& executor, Hooks hooks);

  // Under this token from now on; what waits for an earlier one is answered with kUnavailable.
  void Lead(uint64_t token);
  void StepDown() { Lead(0); }

  // The document; nullopt: there is none. Not called when leadership ends meanwhile.
  void Load(Loaded loaded) { Read(names_.document, std::move(loaded)); }
  // A part; nullopt: there is none. As Load.
  void LoadPart(const std::string& id, Loaded loaded) { Read(PartKey(id), std::move(loaded)); }

  // With the next Save.
  void PutPart(const std::string& id, std::string part) { parts_[id] = std::move(part); }
  void DropPart(const std::string& id) { parts_[id] = std::nullopt; }
  // False while a part waits to be stored.
  bool IsStored(const std::string& id) const;

  // Stores the document as it is now or later. `done` (may be empty) is told how the first attempt
  // ended.
  void Save(Done done);

 private:
  std::string PartKey(const std::string& id) const;
  void Read(const std::string& key, Loaded loaded);
  void Write();
  void HandleWritten(uint64_t generation, const absl::Status& status);

  const Names names_;
  LeaseStore& store_;   // Not owned; outlives this.
  Executor& executor_;  // Not owned; outlives this.
  const Hooks hooks_;

  uint64_t token_ = 0;
  uint64_t generation_ = 0;  // Of the leadership; one may follow another under the same token.
  bool dirty_ = false;       // A Save waits.
  bool writing_ = false;
  std::vector<Done> waiting_;                                // Of the next write.
  std::vector<Done> told_;                                   // Of the write on its way.
  std::map<std::string, std::optional<std::string>> parts_;  // Of the next write.
  std::map<std::string, std::optional<std::string>> sent_;   // Of the write on its way.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LEADER_STORE_H_

#include "server/node/write_path.h"

#include <memory>
#include <utility>
#include <vector>

#include "server/node/routing.h"
#include "server/node/write_call.h"

namespace meridian {

void WritePath::Write(const WriteRequest& request, WriteCallback callback) {
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    std::vector<WriteResult> results(request.items.size());
    for (WriteResult& result : results) {
      SetError(TooManyNamespacesError(request.name_space), &result);
    }
    callback(std::move(results));
    return;
  }
  if (mirrors_ != nullptr && request.caller == Caller::kClient) {
    // Who writes through this node and then reads here reads what it wrote.
    callback = [mirrors = mirrors_, &request,
                callback = std::move(callback)](std::vector<WriteResult> results) {
      for (size_t i = 0; i < results.size(); ++i) {
        const bool done = results[i].state == EntryState::kOk;
        mirrors->Wrote(request.name_space, request.items[i].key,
                       done ? results[i].version : Version());
      }
      callback(std::move(results));
    };
  }
  if (updates_ != nullptr && request.caller == Caller::kClient &&
      updates_->Follows(name_space->id)) {
    callback = [updates = updates_, &request, id = name_space->id,
                callback = std::move(callback)](std::vector<WriteResult> results) {
      updates->Add(id, request, results);
      callback(std::move(results));
    };
  }
  std::make_shared<WriteCall>(context_, misses_, l1_writer_, request, *name_space,
                              std::move(callback))
      ->Start();
}

}  // namespace meridian

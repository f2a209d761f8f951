#include "server/rpc/undelivered_leases.h"

#include <memory>
#include <string>
#include <utility>

namespace meridian {
namespace {

// The owner of a key may be another node, which is asked so long.
constexpr absl::Duration kTime = absl::Seconds(1);

// What the write's views point into.
struct GiveBack {
  std::string name_space;
  std::vector<std::string> keys;
  std::vector<std::string> leases;
  WriteRequest write;
};

}  // namespace

void GiveBackUndelivered(const grpc::CallbackServerContext& context, const ReadRequest& request,
                         const std::vector<ReadResult>& results, absl::Time now,
                         WritePath& writes) {
  if (!request.options.want_lease || (!context.IsCancelled() && now < request.deadline)) return;
  auto back = std::make_shared<GiveBack>();
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].lease.empty()) continue;
    back->keys.emplace_back(request.keys[i]);
    back->leases.push_back(results[i].lease);
  }
  if (back->keys.empty()) return;
  back->name_space = std::string(request.name_space);
  back->write.name_space = back->name_space;
  back->write.deadline = now + kTime;
  for (size_t i = 0; i < back->keys.size(); ++i) {
    WriteItem item;
    item.key = back->keys[i];
    item.lease = back->leases[i];
    item.lease_use = LeaseUse::kGiveBack;
    back->write.items.push_back(std::move(item));
  }
  // Who does not hear of it lets the lease's time pass.
  writes.Write(back->write, [back](const std::vector<WriteResult>&) {});
}

}  // namespace meridian

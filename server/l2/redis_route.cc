#include "server/l2/redis_route.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/cluster_route.h"
#include "server/l2/resp_writer.h"
#include "server/l2/sentinel_route.h"
#include "server/l2/standalone_route.h"
#include "server/l2/tls_context.h"

namespace meridian {

absl::StatusOr<std::unique_ptr<RedisRoute>> OpenRoute(EventLoop& loop, RedisClientOptions options,
                                                      const Clock& clock, L2Observer* observer) {
  RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<TlsContext> tls;
  if (options.url.tls) {
    ASSIGN_OR_RETURN(tls, TlsContext::Create(*options.url.tls));
  }
  if (options.url.shape == RedisShape::kSentinel) {
    return std::make_unique<SentinelRoute>(loop, options, std::move(tls), clock, observer);
  }
  if (options.url.shape == RedisShape::kCluster) {
    return std::make_unique<ClusterRoute>(loop, options, std::move(tls), clock, observer);
  }
  return std::make_unique<StandaloneRoute>(loop, options, std::move(tls), clock, observer);
}

RedisCommand ScanCommand(std::string_view cursor, size_t count) {
  return RedisCommand::Plain(
      "scan", CommandOf({"SCAN", cursor.empty() ? "0" : cursor, "MATCH", "m:{*}:e:*", "COUNT",
                         absl::StrCat(std::max<size_t>(count, 1))}));
}

void MarkFromReplica(RedisReplies* replies) {
  for (absl::StatusOr<Reply>& reply : *replies) {
    if (reply.ok()) reply->from_replica = true;
  }
}

absl::StatusOr<ScanPage> TakeScanPage(absl::StatusOr<Reply> reply) {
  RETURN_IF_ERROR(reply.status());
  if (!reply->is_array() || reply->elements.size() != 2 || !reply->elements[1].is_array()) {
    return absl::InternalError("Redis answered SCAN with something unexpected");
  }
  ScanPage page;
  page.next = reply->elements[0].text();
  if (page.next == "0") page.next.clear();
  for (const Reply& name : reply->elements[1].elements) page.names.emplace_back(name.text());
  return page;
}

RedisCommand ChangeCountCommand() {
  return RedisCommand::Plain("changes", CommandOf({"GET", kChangeCountKey}));
}

absl::StatusOr<uint64_t> TakeChangeCount(const absl::StatusOr<Reply>& reply) {
  RETURN_IF_ERROR(reply.status());
  uint64_t count = 0;  // Nothing was written yet, or it is no number: not known.
  if (!absl::SimpleAtoi(ToAbsl(reply->text()), &count)) count = 0;
  return count;
}

}  // namespace meridian

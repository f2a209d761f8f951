#include "server/coordinator/policy_calls.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "server/coordinator/field_error.h"

namespace meridian {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kLargestPage = 1000;

}  // namespace

grpc::Status PolicyErrorOf(const absl::Status& status) {
  Error error = FromStatus(status);
  if (error.reason == reason::kFieldInvalid) {
    error.details.field = error.message.substr(0, error.message.find(':'));
  }
  return ToGrpcStatus(error);
}

grpc::Status ListRollouts(const PolicyRollouts& rollouts,
                          const coordinator::v1::ListRolloutsRequest& request,
                          coordinator::v1::ListRolloutsResponse* response) {
  const uint32_t page = request.page_size() == 0 ? kDefaultPage : request.page_size();
  if (page > kLargestPage) {
    return FieldError("page_size", absl::StrCat(page, " is not 1..", kLargestPage));
  }
  // A page ends with a version; what is applied meanwhile is newer.
  uint64_t below = UINT64_MAX;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &below)) {
    return FieldError("page_token", "is not of an answer before");
  }
  const auto all = rollouts.List();
  if (!all.ok()) return PolicyErrorOf(all.status());
  for (const coordinator::v1::Rollout& rollout : *all) {
    if (rollout.policy_version() >= below) continue;
    if (static_cast<uint32_t>(response->rollouts_size()) == page) {
      const auto& last = response->rollouts(response->rollouts_size() - 1);
      response->set_next_page_token(absl::StrCat(last.policy_version()));
      break;
    }
    *response->add_rollouts() = rollout;
  }
  return grpc::Status::OK;
}

}  // namespace meridian

#include "examples/origin/origin_service.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace meridian::example {
namespace {

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace

bool OriginService::Fails() {
  const double rate = failure_rate_.load(std::memory_order_relaxed);
  if (rate <= 0) return false;
  absl::MutexLock lock(&mu_);
  return std::uniform_real_distribution<double>()(random_) < rate;
}

grpc::Status OriginService::BatchLoad(grpc::ServerContext*,
                                      const origin::v1::BatchLoadRequest* request,
                                      origin::v1::BatchLoadResponse* response) {
  const bool fails = Fails();
  {
    absl::MutexLock lock(&mu_);
    ++loads_;
    keys_ += static_cast<uint64_t>(request->keys_size());
    keys_by_namespace_[request->namespace_()] += static_cast<uint64_t>(request->keys_size());
    if (fails) ++failed_;
  }
  // Each call has a thread of its own here: an example's way to be slow.
  const uint32_t delay_ms = delay_ms_.load(std::memory_order_relaxed);
  if (fails) return {grpc::StatusCode::UNAVAILABLE, "the example origin was told to fail"};
  for (const std::string& key : request->keys()) {
    origin::v1::LoadResult* result = response->add_results();
    result->set_key(key);
    absl::StatusOr<std::optional<Value>> value = database_.Load(request->namespace_(), key);
    if (!value.ok()) {
      result->set_status(origin::v1::LOAD_STATUS_ERROR);
      result->set_error(std::string(value.status().message()));
    } else if (!*value) {
      result->set_status(origin::v1::LOAD_STATUS_ABSENT);
    } else {
      result->set_status(origin::v1::LOAD_STATUS_FOUND);
      result->set_value(std::move((*value)->json));
      result->set_ttl_ms((*value)->ttl_ms);
      for (std::string& tag : (*value)->tags) result->add_tags(std::move(tag));
      for (std::string& name : (*value)->depends_on) result->add_depends_on(std::move(name));
      result->set_cost((*value)->cost);
    }
  }
  // After it has read, so that what is answered may be old by then, as with a real database.
  if (delay_ms > 0) absl::SleepFor(absl::Milliseconds(delay_ms));
  return grpc::Status::OK;
}

void OriginService::SetBehaviour(uint32_t delay_ms, double failure_rate) {
  delay_ms_ = delay_ms;
  failure_rate_ = failure_rate;
}

void OriginService::Stats(bool reset, GetStatsResponse* response) {
  absl::MutexLock lock(&mu_);
  response->set_loads(loads_);
  response->set_keys(keys_);
  response->set_failed(failed_);
  for (const auto& [name_space, keys] : keys_by_namespace_) {
    (*response->mutable_keys_by_namespace())[name_space] = keys;
  }
  if (!reset) return;
  loads_ = keys_ = failed_ = 0;
  keys_by_namespace_.clear();
}

grpc::Status OriginAdmin::GetStats(grpc::ServerContext*, const GetStatsRequest* request,
                                   GetStatsResponse* response) {
  origin_.Stats(request->reset(), response);
  return grpc::Status::OK;
}

grpc::Status OriginAdmin::SetBehaviour(grpc::ServerContext*, const SetBehaviourRequest* request,
                                       SetBehaviourResponse*) {
  if (!(request->failure_rate() >= 0 && request->failure_rate() <= 1) ||
      request->delay_ms() > 60'000) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "failure_rate is from 0 to 1, delay_ms at most 60000"};
  }
  origin_.SetBehaviour(request->delay_ms(), request->failure_rate());
  return grpc::Status::OK;
}

grpc::Status OriginAdmin::Update(grpc::ServerContext*, const UpdateRequest* request,
                                 UpdateResponse* response) {
  const Row row{request->kind(),  request->id(),    request->parent(),
                request->owner(), request->state(), request->body()};
  const absl::StatusOr<std::vector<CacheKey>> changed =
      request->remove() ? database_.Remove(row) : database_.Update(row);
  if (!changed.ok()) return ToGrpc(changed.status());
  // The source of truth first, then the caches: a load that read the old row is overtaken by the
  // invalidation, whenever its answer comes.
  // Every key and region is tried: who is told of a failure calls again, and finds the rest done.
  std::string problem;
  for (const auto& [name_space, key, cascade] : *changed) {
    response->add_invalidated(absl::StrCat(name_space, " ", key));
    for (const std::unique_ptr<Client>& cache : caches_) {
      const WriteResult result =
          cascade ? cache->InvalidateCascade(name_space, key) : cache->Invalidate(name_space, key);
      if (!result.ok()) {
        problem = absl::StrCat("the cache still has ", key, ": ", result.error->message);
      } else if (!result.unconfirmed_nodes.empty()) {
        problem = absl::StrCat("node ", result.unconfirmed_nodes.front(),
                               " may still serve what depends on ", key);
      }
    }
  }
  if (problem.empty()) return grpc::Status::OK;
  return {grpc::StatusCode::UNAVAILABLE,
          absl::StrCat("the row is changed, but ", problem, "; call again")};
}

}  // namespace meridian::example

#include "client/cpp/client.h"

#include <optional>
#include <utility>

#include "absl/synchronization/notification.h"
#include "client/cpp/client_impl.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

SetItem ItemOf(std::string_view key, std::string value, const SetOptions& options) {
  return SetItem{.key = std::string(key),
                 .value = std::move(value),
                 .ttl = options.ttl,
                 .tags = options.tags,
                 .depends_on = options.depends_on,
                 .if_absent = options.if_absent,
                 .expected_version = options.expected_version,
                 .state_hint = options.state_hint,
                 .lease = options.lease,
                 .absent = options.absent,
                 .give_back = options.give_back};
}

// Starts a call by `start(callback)` and waits for its result.
template <typename Result, typename Start>
Result Await(Start start) {
  Result result;
  absl::Notification ended;
  start([&](Result answer) {
    result = std::move(answer);
    ended.Notify();
  });
  ended.WaitForNotification();
  return result;
}

}  // namespace

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(std::unique_ptr<NearReads> near, NearReads::Create(options));
  return std::unique_ptr<Client>(
      new Client(std::make_unique<Impl>(std::move(options), std::move(near))));
}

absl::Status Client::WaitUntilReady(absl::Duration timeout) {
  if (impl_->cluster().WaitForTopology(timeout)) return absl::OkStatus();
  return absl::UnavailableError("no node told a topology");
}

GetResult Client::Get(std::string_view name_space, std::string_view key,
                      const GetOptions& options) {
  GetResult near;
  if (impl_->GetNear(name_space, key, options, &near)) return near;
  return Await<GetResult>(
      [&](GetCallback done) { impl_->Get(name_space, key, options, std::move(done)); });
}

NearStats Client::near_stats() const { return impl_->near_stats(); }

void Client::Get(std::string_view name_space, std::string_view key, const GetOptions& options,
                 GetCallback done) {
  GetResult near;
  if (impl_->GetNear(name_space, key, options, &near)) return done(std::move(near));
  impl_->Get(name_space, key, options, std::move(done));
}

WriteResult Client::Set(std::string_view name_space, std::string_view key, std::string value,
                        const SetOptions& options) {
  return Await<WriteResult>([&](WriteCallback done) {
    Set(name_space, key, std::move(value), options, std::move(done));
  });
}

void Client::Set(std::string_view name_space, std::string_view key, std::string value,
                 const SetOptions& options, WriteCallback done) {
  impl_->Set(name_space, ItemOf(key, std::move(value), options), options, std::move(done));
}

WriteResult Client::Invalidate(std::string_view name_space, std::string_view key,
                               const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { Invalidate(name_space, key, options, std::move(done)); });
}

void Client::Invalidate(std::string_view name_space, std::string_view key,
                        const CallOptions& options, WriteCallback done) {
  impl_->Invalidate(name_space, key, options, std::move(done));
}

WriteResult Client::InvalidateCascade(std::string_view name_space, std::string_view key,
                                      const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { InvalidateCascade(name_space, key, options, std::move(done)); });
}

void Client::InvalidateCascade(std::string_view name_space, std::string_view key,
                               const CallOptions& options, WriteCallback done) {
  impl_->InvalidateMany(
      name_space, options,
      [key](cache::v1::InvalidateRequest& request) {
        request.set_key(key.data(), key.size());
        request.set_cascade(true);
      },
      std::move(done));
}

WriteResult Client::InvalidateTag(std::string_view name_space, std::string_view tag,
                                  const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { InvalidateTag(name_space, tag, options, std::move(done)); });
}

void Client::InvalidateTag(std::string_view name_space, std::string_view tag,
                           const CallOptions& options, WriteCallback done) {
  impl_->InvalidateMany(
      name_space, options,
      [tag](cache::v1::InvalidateRequest& request) { request.set_tag(tag.data(), tag.size()); },
      std::move(done));
}

WriteResult Client::InvalidatePrefix(std::string_view name_space, std::string_view prefix,
                                     const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { InvalidatePrefix(name_space, prefix, options, std::move(done)); });
}

void Client::InvalidatePrefix(std::string_view name_space, std::string_view prefix,
                              const CallOptions& options, WriteCallback done) {
  impl_->InvalidateMany(
      name_space, options,
      [prefix](cache::v1::InvalidateRequest& request) {
        request.set_prefix(prefix.data(), prefix.size());
      },
      std::move(done));
}

WriteResult Client::InvalidateNamespace(std::string_view name_space, const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { InvalidateNamespace(name_space, options, std::move(done)); });
}

void Client::InvalidateNamespace(std::string_view name_space, const CallOptions& options,
                                 WriteCallback done) {
  impl_->InvalidateMany(
      name_space, options, [](cache::v1::InvalidateRequest& request) { request.set_all(true); },
      std::move(done));
}

WriteResult Client::Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
                          const CallOptions& options) {
  return Await<WriteResult>(
      [&](WriteCallback done) { Touch(name_space, key, ttl, options, std::move(done)); });
}

void Client::Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
                   const CallOptions& options, WriteCallback done) {
  impl_->Touch(name_space, key, ttl, options, std::move(done));
}

std::vector<GetResult> Client::BatchGet(std::string_view name_space,
                                        std::span<const std::string_view> keys,
                                        const GetOptions& options) {
  return Await<std::vector<GetResult>>(
      [&](BatchGetCallback done) { BatchGet(name_space, keys, options, std::move(done)); });
}

void Client::BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                      const GetOptions& options, BatchGetCallback done) {
  impl_->BatchGet(name_space, keys, options, std::move(done));
}

std::vector<WriteResult> Client::BatchSet(std::string_view name_space, std::vector<SetItem> items,
                                          const CallOptions& options) {
  return Await<std::vector<WriteResult>>([&](BatchWriteCallback done) {
    BatchSet(name_space, std::move(items), options, std::move(done));
  });
}

void Client::BatchSet(std::string_view name_space, std::vector<SetItem> items,
                      const CallOptions& options, BatchWriteCallback done) {
  impl_->BatchSet(name_space, std::move(items), options, std::move(done));
}

std::vector<WriteResult> Client::BatchInvalidate(std::string_view name_space,
                                                 std::span<const std::string_view> keys,
                                                 const CallOptions& options) {
  return Await<std::vector<WriteResult>>([&](BatchWriteCallback done) {
    BatchInvalidate(name_space, keys, options, std::move(done));
  });
}

void Client::BatchInvalidate(std::string_view name_space, std::span<const std::string_view> keys,
                             const CallOptions& options, BatchWriteCallback done) {
  impl_->BatchInvalidate(name_space, keys, options, std::move(done));
}

}  // namespace meridian

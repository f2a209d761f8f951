// PerfTarget is what the performance tester measures: one namespace of one cluster, and the time.
// LivePerfTarget is the real one; tests have their own.

#ifndef MERIDIAN_CLIENT_CLI_PERF_TARGET_H_
#define MERIDIAN_CLIENT_CLI_PERF_TARGET_H_

#include <atomic>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "common/base/clock.h"

namespace meridian::cli {

class PerfTarget {
 public:
  virtual ~PerfTarget() = default;

  // from_origin: past the cache, from the namespace's origin.
  virtual GetResult Get(std::string_view key, bool from_origin) = 0;
  virtual WriteResult Set(std::string_view key, std::string value, absl::Duration ttl) = 0;
  // Never goes backwards.
  virtual absl::Duration Now() const = 0;
  // Waits so long; not to the end when somebody stops the test.
  virtual void Pause(absl::Duration time) = 0;
  // The test is to end.
  virtual bool stopped() const = 0;
};

class LivePerfTarget final : public PerfTarget {
 public:
  // All references outlive this. Stopped once `stop` is not 0.
  LivePerfTarget(Client& client, std::string name_space, absl::Duration timeout,
                 const std::atomic<int>& stop)
      : client_(client), name_space_(std::move(name_space)), timeout_(timeout), stop_(stop) {}

  GetResult Get(std::string_view key, bool from_origin) override;
  WriteResult Set(std::string_view key, std::string value, absl::Duration ttl) override;
  absl::Duration Now() const override { return clock_.Monotonic(); }
  void Pause(absl::Duration time) override;
  bool stopped() const override { return stop_ != 0; }

 private:
  Client& client_;
  const std::string name_space_;
  const absl::Duration timeout_;
  const std::atomic<int>& stop_;
  const SystemClock clock_;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_TARGET_H_

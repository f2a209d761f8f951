// CoordinatorConfig is everything that meridian-coordinator is told at start.
//
// Parse reads flags, environment and file (option_set.h) and checks the whole; docs/config.md is
// generated from the same table. Thread safety: a value.

#ifndef MERIDIAN_SERVER_APP_COORDINATOR_CONFIG_H_
#define MERIDIAN_SERVER_APP_COORDINATOR_CONFIG_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/prediction_lead.h"
#include "server/figures/analytics.h"
#include "server/figures/other_regions.h"
#include "server/policy/http_url.h"
#include "server/policy/tls_options.h"
#include "server/rollout/policy_rollouts.h"
#include "server/warming/warm_settings.h"
#include "server/warming/warmer.h"

namespace meridian {

struct CoordinatorConfig {
  std::string id;
  std::string region;
  std::string grpc_address;  // To listen on; port 0: the OS chooses.
  std::string http_address;
  std::string advertise_address;  // Where nodes reach this coordinator; empty: as it listens.
  std::string redis_url;          // Empty: the only coordinator of its region.
  absl::Duration heartbeat_interval;
  absl::Duration failure_timeout;
  absl::Duration hand_off_timeout;
  absl::Duration lease_duration;
  absl::Duration restart_absence;
  PredictionOptions prediction;
  PolicyRolloutsOptions rollouts;
  WarmerOptions warmer;
  WarmSettings warming;
  // What these were read from: the files, their texts, what each would say for nothing, and how to
  // read them once more. `of_warming`: whether an error is about them; else it is about something
  // else that a file says, which is read at the start only.
  std::vector<std::string> warming_files;
  std::vector<std::string> warming_texts;
  std::vector<std::string> warming_nothing;
  absl::Duration warming_poll;
  std::function<absl::StatusOr<WarmSettings>(bool* of_warming)> read_warming = nullptr;
  UnitCosts costs;
  std::optional<HttpUrl> alert_webhook;  // nullopt: nobody is told.
  std::string external_url;              // Of this coordinator's page; empty: where it listens.
  OtherRegions::Coordinators other_coordinators;
  std::string http_ca;  // PEM file; empty: the system's authorities.
  TlsSettings tls;
  bool insecure = false;  // Allows plaintext beyond loopback.
  std::string log_level;
  std::string log_format;
  std::string ready_file;  // Empty: none.

  // nullopt: --help and the like were answered. `environment`: see ProcessEnvironment(). `argv`
  // outlives read_warming.
  static absl::StatusOr<std::optional<CoordinatorConfig>> Parse(
      int argc, const char* const* argv, const std::map<std::string, std::string>& environment) {
    bool of_warming = false;
    return Parse(argc, argv, environment, &of_warming);
  }

  // The rows of docs/config.md.
  static std::string MarkdownTable();

 private:
  static absl::StatusOr<std::optional<CoordinatorConfig>> Parse(
      int argc, const char* const* argv, const std::map<std::string, std::string>& environment,
      bool* of_warming);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_COORDINATOR_CONFIG_H_

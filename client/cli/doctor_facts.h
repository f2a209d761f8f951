// What `meridianctl doctor` asks of a cluster before it judges.

#ifndef MERIDIAN_CLIENT_CLI_DOCTOR_FACTS_H_
#define MERIDIAN_CLIENT_CLI_DOCTOR_FACTS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/session.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"

namespace meridian::cli {

struct NodeFacts {
  std::string address;  // Of AdminService.
  std::string name;     // As the address book or the ring has it; empty: only the node knows.
  std::string problem;  // Why it did not answer; empty: it did.
  admin::v1::GetFiguresResponse figures = {};
  admin::v1::GetRingResponse ring = {};
  admin::v1::ListPoliciesResponse policies = {};
  absl::Time asked = {};  // By this machine's clock.
  absl::Duration took = {};

  bool answered() const { return problem.empty(); }
  const admin::v1::GetStatusResponse& status() const { return figures.status(); }
  std::string Label() const;
};

struct CoordinatorFacts {
  std::string address;
  std::string region = {};   // Whose it is; empty: not known.
  bool listed = false;       // In the cluster file, which names all of a region.
  std::string problem = {};  // Why it did not answer; empty: it did.
  coordinator::v1::GetStatusResponse status = {};
};

struct ClusterFacts {
  std::vector<NodeFacts> nodes;
  std::vector<CoordinatorFacts> coordinators;
  std::vector<coordinator::v1::Alert> alerts;  // Of the leaders that were found.
  absl::Time now;
  std::string own_version;
  bool tls = false;  // They were asked by it: all that answered speak it.

  // Regions of the nodes that answered, sorted.
  std::vector<std::string> Regions() const;
  // Those of a region that answered.
  std::vector<const NodeFacts*> NodesOf(const std::string& region) const;
};

// Asks nodes, those that these name, coordinators and their leaders. False: no node answered;
// `error` says why.
bool FetchFacts(const Session& session, ClusterFacts* facts, ResultError* error);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_DOCTOR_FACTS_H_

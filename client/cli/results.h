// Results of the client as text and JSON.

#ifndef MERIDIAN_CLIENT_CLI_RESULTS_H_
#define MERIDIAN_CLIENT_CLI_RESULTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/exit_code.h"
#include "client/cli/session.h"
#include "client/cpp/client.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {

std::string_view StatusName(ResultStatus status);  // "OK", "MISS", "CONFLICT", "ERROR".
std::string_view SourceName(ResultSource source);  // "L1", "L2", "ORIGIN", "NEAR", "".

using meridian::ToJson;  // Of messages, beside these.

// status, value, value_base64, source, version, ttl_ms, age_ms, stale; or error.
nlohmann::ordered_json ToJson(std::string_view key, const GetResult& result);
// status, version, degraded, replicated_regions; or error.
nlohmann::ordered_json ToJson(std::string_view key, const WriteResult& result);

// Prints the outcome of one write, the error to standard error; returns the exit code.
ExitCode PrintWrite(const Session& session, std::string_view key, const WriteResult& result);

// Prints the outcomes of a batch of writes: with --json all of them, else only what failed.
ExitCode PrintWrites(const Session& session, const std::vector<std::string>& keys,
                     const std::vector<WriteResult>& results);

// One line: "source L1, version ..., ttl 4m59s, age 1s".
std::string Describe(const GetResult& result);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_RESULTS_H_

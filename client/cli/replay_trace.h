// TraceSource reads a recorded trace: lines `time_s,key,value_size,ttl_s,op`, gzip or plain. Size 0
// stands for 100 bytes, TTL 0 for one hour; times are not replayed.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_TRACE_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_TRACE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/replay_source.h"

namespace meridian::cli {

// kInvalidArgument says which field is wrong.
absl::StatusOr<ReplayRequest> ParseTraceLine(std::string_view line);

class TraceSource final : public RequestSource {
 public:
  static absl::StatusOr<std::unique_ptr<TraceSource>> Open(const std::string& path);
  ~TraceSource() override;

  bool Next(ReplayRequest* request) override;
  absl::Status status() const override { return status_; }
  const std::vector<std::string>& namespaces() const override { return namespaces_; }
  std::string KeyText(uint64_t key) const override;

 private:
  TraceSource(std::string path, void* file);
  bool Fail(std::string_view what);

  const std::string path_;
  const std::string key_prefix_;  // Of the file's name, so that traces do not share keys.
  void* const file_;              // gzFile.
  const std::vector<std::string> namespaces_ = {"trace"};
  uint64_t line_number_ = 0;
  absl::Status status_;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_TRACE_H_

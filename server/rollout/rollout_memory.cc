#include "server/rollout/rollout_memory.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/strings.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

// A line "version percent watched_ms", then the figures as nodes tell theirs.
std::string EncodeMemory(const RolloutMemory& memory) {
  admin::v1::GetFiguresResponse figures;
  figures.mutable_latency_bounds()->Add(memory.base.latency_bounds.begin(),
                                        memory.base.latency_bounds.end());
  for (const auto& [key, reads] : memory.base.table) {
    admin::v1::NamespaceFigures& row = *figures.add_namespaces();
    row.set_namespace_(key.first);
    row.set_policy_version(key.second);
    row.set_l1_hits(reads.hits);
    row.set_misses(reads.misses);
    row.set_errors(reads.errors);
    row.mutable_l1_latency()->mutable_counts()->Add(reads.latency.begin(), reads.latency.end());
  }
  return absl::StrCat(memory.version, " ", memory.percent, " ",
                      absl::ToInt64Milliseconds(memory.watched), "\n", figures.SerializeAsString());
}

std::optional<RolloutMemory> DecodeMemory(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::vector<std::string> words =
      absl::StrSplit(ToAbsl(bytes.substr(0, end)), ' ', absl::SkipEmpty());
  RolloutMemory memory;
  int64_t watched_ms = 0;
  admin::v1::GetFiguresResponse figures;
  if (words.size() != 3 || !absl::SimpleAtoi(words[0], &memory.version) ||
      !absl::SimpleAtoi(words[1], &memory.percent) || !absl::SimpleAtoi(words[2], &watched_ms) ||
      !figures.ParseFromString(std::string(bytes.substr(end + 1)))) {
    return std::nullopt;
  }
  memory.watched = absl::Milliseconds(watched_ms);
  memory.base.latency_bounds = {figures.latency_bounds().begin(), figures.latency_bounds().end()};
  for (const admin::v1::NamespaceFigures& row : figures.namespaces()) {
    VersionReads& reads = memory.base.table[{row.namespace_(), row.policy_version()}];
    reads.hits = row.l1_hits();
    reads.misses = row.misses();
    reads.errors = row.errors();
    reads.latency = {row.l1_latency().counts().begin(), row.l1_latency().counts().end()};
  }
  return memory;
}

}  // namespace meridian

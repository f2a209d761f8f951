// What the sections of a coordinator's YAML about warming have in common: where an error is, and
// the fields that several of them have.
//
// Thread safety: pure functions. The YAML library throws on wrong types: see
// WarmSettings::ReadFile.

#ifndef MERIDIAN_SERVER_WARMING_SETTINGS_READER_H_
#define MERIDIAN_SERVER_WARMING_SETTINGS_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/warming/key_list.h"

namespace YAML {
class Node;
}

namespace meridian::warm_yaml {

// Where an error is: "f.yaml:7: schedules.nightly.cron: ...".
struct Place {
  const std::string& file;
  std::string path;

  absl::Status Bad(const YAML::Node& node, const std::string& why) const;
  absl::Status Bad(const YAML::Node& node, const absl::Status& status) const;
  Place At(const std::string& key) const;
};

absl::StatusOr<std::string> Scalar(const Place& place, const YAML::Node& node);
// The keys of a map, each a plain word that is given once.
absl::StatusOr<std::vector<std::pair<std::string, YAML::Node>>> Items(const Place& place,
                                                                      const YAML::Node& node);
// A list, or one value.
absl::StatusOr<std::vector<std::string>> Texts(const Place& place, const YAML::Node& node);
// Names with a list or a range each.
absl::Status ReadParts(const Place& place, const YAML::Node& node, KeyParts* parts);

// [a-z0-9_.-]{1,64}; `node`: where the name is.
absl::Status CheckName(const Place& place, const YAML::Node& node, std::string_view name);
absl::StatusOr<std::string> ReadName(const Place& place, const YAML::Node& node);
// The same of a namespace; not one of the nodes' own (CheckWarmNamespace).
absl::Status CheckNamespace(const Place& place, const YAML::Node& node, std::string_view name);
absl::StatusOr<std::string> ReadNamespace(const Place& place, const YAML::Node& node);
absl::StatusOr<int32_t> ReadPriority(const Place& place, const YAML::Node& node);
absl::StatusOr<uint64_t> ReadCount(const Place& place, const YAML::Node& node, uint64_t low,
                                   uint64_t high);
absl::StatusOr<absl::Duration> ReadDuration(const Place& place, const YAML::Node& node,
                                            absl::Duration low, absl::Duration high);
// Of a field that is none of `known`.
absl::Status Unknown(const Place& place, const YAML::Node& node, const std::string& key,
                     const std::vector<std::string>& known);

}  // namespace meridian::warm_yaml

#endif  // MERIDIAN_SERVER_WARMING_SETTINGS_READER_H_

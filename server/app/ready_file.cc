#include "server/app/ready_file.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace meridian {

absl::Status WriteReadyFile(const std::string& path,
                            const std::vector<std::pair<std::string, std::string>>& fields) {
  if (path.empty()) return absl::OkStatus();
  nlohmann::ordered_json json;
  for (const auto& [key, value] : fields) json[key] = value;
  json["pid"] = getpid();
  const std::string temporary = absl::StrCat(path, ".", getpid());
  std::ofstream stream(temporary, std::ios::trunc);
  stream << json.dump() << "\n";
  stream.close();
  if (!stream || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    return absl::UnavailableError(
        absl::StrCat("cannot write the ready file ", path, "; is its folder there and writable?"));
  }
  return absl::OkStatus();
}

}  // namespace meridian

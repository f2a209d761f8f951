#include "server/node/evictions.h"

#include <map>
#include <string_view>

namespace meridian {

std::vector<NamespaceEvictions> EvictionsOf(const NodeContext& context) {
  std::map<std::string_view, uint64_t> refused;
  for (const Namespace* name_space : context.namespaces.List()) {
    refused[name_space->name] = name_space->counters.not_admitted.load();
  }
  std::vector<NamespaceEvictions> rows;
  for (const NamespaceEngineStats& stats : context.engine.Stats()) {
    NamespaceEvictions row = {stats.name_space, stats.counters.evictions};
    const auto found = refused.find(row.name_space);
    if (found != refused.end()) {
      row.by_cause[static_cast<size_t>(EvictionCause::kAdmission)] += found->second;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace meridian

// Where the nodes of a region save which keys of a slot are hot (server/refill, docs/adr/0026).
//
// A namespace of its own, and not a key of kInternalNamespace, because what is in it is the
// region's alone: a link that compares whole stores must not carry it to another one.

#ifndef MERIDIAN_SERVER_NODE_HEAT_NAMESPACE_H_
#define MERIDIAN_SERVER_NODE_HEAT_NAMESPACE_H_

#include <string_view>

namespace meridian {

inline constexpr std::string_view kHeatNamespace = "_meridian.heat";

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HEAT_NAMESPACE_H_

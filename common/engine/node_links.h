// NodeLinks are the two handles by which a node, or the head of a list, is in a doubly linked list.

#ifndef MERIDIAN_COMMON_ENGINE_NODE_LINKS_H_
#define MERIDIAN_COMMON_ENGINE_NODE_LINKS_H_

#include <cstdint>

namespace meridian {

// Names an EntryNode, in the process: see PageRegion. 0: none.
using NodeHandle = uint32_t;

struct NodeLinks {
  NodeHandle prev = 0;
  NodeHandle next = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_NODE_LINKS_H_

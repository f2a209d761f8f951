// What a request can be refused for before it is sent: texts that a message cannot carry, and a
// namespace that no node takes. Everything else is the node's to judge.
//
// Promise: the same code, reasons and fields as a node's; nullptr when all is well.
// Cost: one pass over the texts. Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CPP_CHECK_H_
#define MERIDIAN_CLIENT_CPP_CHECK_H_

#include <memory>
#include <string_view>

#include "client/cpp/client.h"

namespace meridian {

// NAMESPACE_INVALID.
std::shared_ptr<const ResultError> CheckNamespace(std::string_view name_space);

// TAG_INVALID. `field` names the tag.
std::shared_ptr<const ResultError> CheckTag(std::string_view tag, std::string_view field);

// The namespace and the request id: what all calls have.
std::shared_ptr<const ResultError> CheckCall(std::string_view name_space,
                                             const CallOptions& options);

// Tags and state hint of one entry.
std::shared_ptr<const ResultError> CheckItem(const SetItem& item);

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CHECK_H_

#include "common/engine/namespace_table.h"

#include <algorithm>

#include "common/base/hash.h"

namespace meridian {

NamespaceTable::~NamespaceTable() {
  absl::MutexLock lock(&mu_);
  for (const Name* name : names_) delete name;
}

NamespaceTable::Cell& NamespaceTable::CellOf(std::string_view name) {
  for (size_t i = Hash64(name);; ++i) {
    Cell& cell = cells_[i & (kCells - 1)];
    const Name* found = cell.load(std::memory_order_acquire);
    if (found == nullptr || found->text == name) return cell;
  }
}

std::optional<NamespaceId> NamespaceTable::Intern(std::string_view name) {
  if (const Name* known = CellOf(name).load(std::memory_order_acquire)) return known->id;
  absl::MutexLock lock(&mu_);
  Cell& cell = CellOf(name);
  if (const Name* known = cell.load(std::memory_order_relaxed)) return known->id;
  if (names_.size() >= std::min(capacity_, kCells / 2)) return std::nullopt;
  const Name* created = new Name{std::string(name), static_cast<NamespaceId>(names_.size() + 1)};
  names_.push_back(created);
  cell.store(created, std::memory_order_release);
  return created->id;
}

std::vector<std::string> NamespaceTable::Names() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> names;
  names.reserve(names_.size());
  for (const Name* name : names_) names.push_back(name->text);
  return names;
}

}  // namespace meridian

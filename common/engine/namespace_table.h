// NamespaceTable numbers namespaces, from 1, in the order in which they are first seen.
//
// Cost: Intern of a known name is one hash and one or two atomic loads.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_NAMESPACE_TABLE_H_
#define MERIDIAN_COMMON_ENGINE_NAMESPACE_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/entry.h"

namespace meridian {

class NamespaceTable {
 public:
  explicit NamespaceTable(size_t capacity) : capacity_(capacity) {}
  ~NamespaceTable();
  NamespaceTable(const NamespaceTable&) = delete;
  NamespaceTable& operator=(const NamespaceTable&) = delete;

  // The id of `name`, new or known; nullopt when it is new and the table is full.
  std::optional<NamespaceId> Intern(std::string_view name) ABSL_LOCKS_EXCLUDED(mu_);

  // The names; that of id n is at n - 1.
  std::vector<std::string> Names() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Name {
    std::string text;
    NamespaceId id;
  };
  static constexpr size_t kCells = 2048;  // A power of two, and never full: see Intern.
  using Cell = std::atomic<const Name*>;

  // The cell that holds `name`, or the free one where it belongs.
  Cell& CellOf(std::string_view name);

  const size_t capacity_;
  std::array<Cell, kCells> cells_ = {};  // A cell is written once, with mu_ held.
  mutable absl::Mutex mu_;
  std::vector<const Name*> names_ ABSL_GUARDED_BY(mu_);  // Owned.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_NAMESPACE_TABLE_H_

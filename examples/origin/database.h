// Database is the example's source of truth: rows of SQLite, and the values that are made of them.
//
// A row has a kind, an id, a parent, an owner, a state and a body. Values are JSON, by namespace:
//   persona          {tone}-{pace}-{intent}        the persona
//   assessment       assessment:{id}:details       the assessment; lives 60 s while in progress
//   dashboard        dashboard:overview:{user}     a user's assessments, counted by state
//   recommendations  recommendations:{id}:list     what was recommended for an assessment
//   context          context:{id}                  the context and all it inherits from
//   project          project:{id}                  the project with its branches
//   git_branch       git_branch:{id}               the branch with its tasks
//   task             task:{id}                     the task, its branch and its project
// Thread safety: all methods may be called concurrently; one of them runs at a time.

#ifndef MERIDIAN_EXAMPLES_ORIGIN_DATABASE_H_
#define MERIDIAN_EXAMPLES_ORIGIN_DATABASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

struct sqlite3;
struct sqlite3_stmt;

namespace meridian::example {

// A value as a cache is to hold it.
struct Value {
  std::string json;
  uint64_t ttl_ms = 0;  // 0: as the cache likes.
  std::vector<std::string> tags;
  std::vector<std::string> depends_on;  // As LoadResult.depends_on.
  double cost = 1;                      // Rows that were read.
};

struct Row {
  std::string kind;
  std::string id;
  std::string parent;
  std::string owner;
  std::string state;
  std::string body;
};

// A value of the caches that is old.
struct CacheKey {
  std::string name_space;
  std::string key;
  // Values of the namespace that are made from this one said so (depends_on), and are old as well.
  bool cascade = false;
  friend auto operator<=>(const CacheKey&, const CacheKey&) = default;
};

class Database {
 public:
  // ":memory:" is a database of this process alone. An empty one is filled with the example's rows.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  // The value of a key; nullopt: there is none. Returns kInternal when SQLite fails.
  absl::StatusOr<std::optional<Value>> Load(std::string_view name_space, std::string_view key)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Adds the row, or changes what is not empty of the one with its kind and id. Returns the keys of
  // the values that are made from it. kInvalidArgument for an unknown kind.
  absl::StatusOr<std::vector<CacheKey>> Update(const Row& row) ABSL_LOCKS_EXCLUDED(mu_);
  // Removes it, as above. Of one that is not there these are the keys as far as `row` itself says.
  absl::StatusOr<std::vector<CacheKey>> Remove(const Row& row) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Statement;
  explicit Database(sqlite3* db) : db_(db) {}

  absl::Status Execute(const char* sql) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Seed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::optional<Row>> Find(std::string_view kind, std::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::vector<Row>> ChildrenOf(std::string_view kind, std::string_view parent)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of all values that show the row, or inherit from it.
  absl::StatusOr<std::vector<CacheKey>> KeysOf(const Row& changed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::optional<Value>> LoadLocked(std::string_view name_space, std::string_view key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Value> DashboardOf(const std::string& user) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  sqlite3* const db_ ABSL_PT_GUARDED_BY(mu_);
};

}  // namespace meridian::example

#endif  // MERIDIAN_EXAMPLES_ORIGIN_DATABASE_H_

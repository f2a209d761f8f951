#include "examples/origin/database.h"

#include <sqlite3.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"

namespace meridian::example {
namespace {

using nlohmann::json;

constexpr char kSchema[] = R"(
  CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL, owner TEXT NOT NULL,
    state TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS by_parent ON rows (kind, parent);
  CREATE INDEX IF NOT EXISTS by_owner ON rows (kind, owner);
)";

constexpr int kUsers = 50;
constexpr int kAssessments = 1000;
constexpr int kContexts = 300;
constexpr int kProjects = 20;
constexpr uint64_t kInProgressTtlMs = 60'000;  // 4-02
constexpr uint64_t kCompletedTtlMs = 300'000;

bool IsKnownKind(const std::string& kind) {
  for (const char* known :
       {"persona", "assessment", "recommendation", "context", "project", "git_branch", "task"}) {
    if (kind == known) return true;
  }
  return false;
}

// What stands between the two in `key`; nullopt: it is not so.
std::optional<std::string> Between(std::string_view key, std::string_view before,
                                   std::string_view after) {
  if (key.size() <= before.size() + after.size() || key.substr(0, before.size()) != before ||
      key.substr(key.size() - after.size()) != after) {
    return std::nullopt;
  }
  return std::string(key.substr(before.size(), key.size() - before.size() - after.size()));
}

json ToJson(const Row& row) {
  json object = {{"id", row.id}, {"body", row.body}};
  if (!row.parent.empty()) object["parent"] = row.parent;
  if (!row.owner.empty()) object["owner"] = row.owner;
  if (!row.state.empty()) object["state"] = row.state;
  return object;
}

std::string IdIn(std::string_view name_space, std::string_view key) {
  if (name_space == "persona") return std::string(key);
  if (name_space == "assessment") return Between(key, "assessment:", ":details").value_or("");
  if (name_space == "recommendations") {
    return Between(key, "recommendations:", ":list").value_or("");
  }
  if (name_space == "dashboard") return Between(key, "dashboard:overview:", "").value_or("");
  return Between(key, absl::StrCat(absl::string_view(name_space.data(), name_space.size()), ":"),
                 "")
      .value_or("");
}

}  // namespace

// A prepared statement; every error is a status of the last call.
class Database::Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    result_ = sqlite3_prepare_v2(db_, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void Bind(std::string_view text) {
    if (result_ != SQLITE_OK) return;
    result_ = sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                                SQLITE_TRANSIENT);
  }
  // True: there is a row. False: the end, or an error.
  bool Step() {
    if (result_ == SQLITE_OK || result_ == SQLITE_ROW) result_ = sqlite3_step(statement_);
    return result_ == SQLITE_ROW;
  }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text == nullptr
               ? ""
               : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }
  int64_t Number(int column) const { return sqlite3_column_int64(statement_, column); }
  absl::Status status() const {
    if (result_ == SQLITE_OK || result_ == SQLITE_ROW || result_ == SQLITE_DONE) {
      return absl::OkStatus();
    }
    return absl::InternalError(absl::StrCat("sqlite: ", sqlite3_errmsg(db_)));
  }

 private:
  sqlite3* const db_;
  sqlite3_stmt* statement_ = nullptr;
  int result_ = SQLITE_OK;
  int bound_ = 0;
};

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* db = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(db));
  absl::MutexLock lock(&database->mu_);
  if (opened != SQLITE_OK) {
    return absl::UnavailableError(absl::StrCat("cannot open ", path, ": ", sqlite3_errmsg(db)));
  }
  if (absl::Status made = database->Execute(kSchema); !made.ok()) return made;
  bool empty = true;
  {
    Statement any(db, "SELECT 1 FROM rows LIMIT 1");
    empty = !any.Step();
    if (!any.status().ok()) return any.status();
  }
  if (empty) {
    if (absl::Status seeded = database->Seed(); !seeded.ok()) return seeded;
  }
  return database;
}

Database::~Database() { sqlite3_close(db_); }

absl::Status Database::Execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("sqlite: ", sqlite3_errmsg(db_)));
}

absl::Status Database::Seed() {
  if (absl::Status begun = Execute("BEGIN"); !begun.ok()) return begun;
  absl::Status problem;
  const auto add = [&](const Row& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Statement insert(db_, "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)");
    for (const std::string* text :
         {&row.kind, &row.id, &row.parent, &row.owner, &row.state, &row.body}) {
      insert.Bind(*text);
    }
    insert.Step();
    if (!insert.status().ok()) problem = insert.status();
  };
  for (const char* tone : {"calm", "analytical", "frustrated", "curious", "urgent"}) {
    for (const char* pace : {"flowing", "burst", "medium", "slow"}) {
      for (const char* intent :
           {"seek_advice", "problem_solving", "learning", "planning", "venting"}) {
        const std::string id = absl::StrCat(tone, "-", pace, "-", intent);
        add({"persona", id, "", "", "", absl::StrCat("how to answer a ", tone, " user")});
      }
    }
  }
  for (int i = 0; i < kAssessments; ++i) {
    const std::string id = absl::StrCat(i);
    add({"assessment", id, "", absl::StrCat(i % kUsers), i % 4 == 0 ? "in_progress" : "completed",
         absl::StrCat("assessment ", i)});
    for (int n = 0; n < 3; ++n) {
      add({"recommendation", absl::StrCat(i, "-", n), id, "", "",
           absl::StrCat("recommendation ", n, " for assessment ", i)});
    }
  }
  for (int i = 0; i < kContexts; ++i) {  // A tree: 0 is the root, every one has ten children.
    add({"context", absl::StrCat(i), i == 0 ? "" : absl::StrCat((i - 1) / 10), "", "",
         absl::StrCat("context ", i)});
  }
  for (int p = 0; p < kProjects; ++p) {
    add({"project", absl::StrCat(p), "", absl::StrCat(p % kUsers), "active",
         absl::StrCat("project ", p)});
    for (int b = 0; b < 3; ++b) {
      const std::string branch = absl::StrCat(p, "-", b);
      add({"git_branch", branch, absl::StrCat(p), "", "", absl::StrCat("branch ", b)});
      for (int t = 0; t < 5; ++t) {
        add({"task", absl::StrCat(branch, "-", t), branch, absl::StrCat((p + t) % kUsers),
             t < 3 ? "active" : "done", absl::StrCat("task ", t)});
      }
    }
  }
  if (!problem.ok()) return problem;
  return Execute("COMMIT");
}

absl::StatusOr<std::optional<Row>> Database::Find(std::string_view kind, std::string_view id) {
  Statement find(db_,
                 "SELECT kind, id, parent, owner, state, body FROM rows "
                 "WHERE kind = ? AND id = ?");
  find.Bind(kind);
  find.Bind(id);
  std::optional<Row> row;
  if (find.Step()) {
    row = Row{find.Text(0), find.Text(1), find.Text(2), find.Text(3), find.Text(4), find.Text(5)};
  }
  if (!find.status().ok()) return find.status();
  return row;
}

absl::StatusOr<std::vector<Row>> Database::ChildrenOf(std::string_view kind,
                                                      std::string_view parent) {
  Statement find(db_,
                 "SELECT kind, id, parent, owner, state, body FROM rows "
                 "WHERE kind = ? AND parent = ? ORDER BY id");
  find.Bind(kind);
  find.Bind(parent);
  std::vector<Row> rows;
  while (find.Step()) {
    rows.push_back(
        {find.Text(0), find.Text(1), find.Text(2), find.Text(3), find.Text(4), find.Text(5)});
  }
  if (!find.status().ok()) return find.status();
  return rows;
}

absl::StatusOr<Value> Database::DashboardOf(const std::string& user) {
  Statement count(db_,
                  "SELECT state, COUNT(*) FROM rows WHERE kind = 'assessment' AND owner = ? "
                  "GROUP BY state");
  count.Bind(user);
  json by_state = json::object();
  int64_t rows = 0;
  while (count.Step()) {
    by_state[count.Text(0)] = count.Number(1);
    rows += count.Number(1);
  }
  if (!count.status().ok()) return count.status();
  Value value;
  value.json = json{{"user", user}, {"assessments", by_state}}.dump();
  value.tags = {absl::StrCat("user:", user)};
  value.cost = static_cast<double>(rows) + 1;
  return value;
}

absl::StatusOr<std::optional<Value>> Database::Load(std::string_view name_space,
                                                    std::string_view key) {
  absl::MutexLock lock(&mu_);
  return LoadLocked(name_space, key);
}

absl::StatusOr<std::optional<Value>> Database::LoadLocked(std::string_view name_space,
                                                          std::string_view key) {
  const std::string id = IdIn(name_space, key);
  if (id.empty()) return std::optional<Value>();
  if (name_space == "dashboard") {
    absl::StatusOr<Value> value = DashboardOf(id);
    if (!value.ok()) return value.status();
    return std::optional<Value>(*std::move(value));
  }
  const std::string kind = name_space == "recommendations" ? "assessment" : std::string(name_space);
  absl::StatusOr<std::optional<Row>> row = Find(kind, id);
  if (!row.ok()) return row.status();
  if (!*row) return std::optional<Value>();
  Value value;
  json object = ToJson(**row);
  const auto add_children = [&](const char* of, const char* name)
                                ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) -> absl::Status {
    absl::StatusOr<std::vector<Row>> children = ChildrenOf(of, id);
    if (!children.ok()) return children.status();
    json list = json::array();
    for (const Row& child : *children) list.push_back(ToJson(child));
    object[name] = std::move(list);
    value.cost += static_cast<double>(children->size());
    return absl::OkStatus();
  };
  // From the row up to the last that has no parent: what it inherits, or belongs to.
  const auto add_ancestors = [&](const std::vector<std::string>& kinds)
                                 ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) -> absl::Status {
    json list = json::array();
    std::string parent = (*row)->parent;
    for (size_t depth = 0; !parent.empty() && depth < 32; ++depth) {
      const std::string& of = kinds[std::min(depth, kinds.size() - 1)];
      absl::StatusOr<std::optional<Row>> above = Find(of, parent);
      if (!above.ok()) return above.status();
      if (!*above) break;
      list.push_back(ToJson(**above));
      value.tags.push_back(absl::StrCat(of, ":", parent));
      if (of == kind) value.depends_on.push_back(absl::StrCat("key:", of, ":", parent));
      value.cost += 1;
      parent = (*above)->parent;
    }
    object["above"] = std::move(list);
    return absl::OkStatus();
  };
  absl::Status status;
  if (name_space == "assessment") {
    value.ttl_ms = (*row)->state == "in_progress" ? kInProgressTtlMs : kCompletedTtlMs;
    value.tags = {absl::StrCat("user:", (*row)->owner)};
  } else if (name_space == "recommendations") {
    status = add_children("recommendation", "recommendations");
  } else if (name_space == "context") {
    status = add_ancestors({"context"});
  } else if (name_space == "project") {
    status = add_children("git_branch", "branches");
    value.tags.push_back(absl::StrCat("project:", id));
  } else if (name_space == "git_branch") {
    status = add_children("task", "tasks");
    if (status.ok()) status = add_ancestors({"project"});
  } else if (name_space == "task") {
    status = add_ancestors({"git_branch", "project"});
  }
  if (!status.ok()) return status;
  value.json = object.dump(-1, ' ', false, json::error_handler_t::replace);
  return std::optional<Value>(std::move(value));
}

absl::StatusOr<std::vector<CacheKey>> Database::KeysOf(const Row& changed) {
  std::set<CacheKey> keys;
  std::set<std::pair<std::string, std::string>> seen;  // Rows: parents may go in circles.
  std::vector<Row> open = {changed};
  while (!open.empty()) {
    const Row row = std::move(open.back());
    open.pop_back();
    if (!seen.emplace(row.kind, row.id).second) continue;
    if (row.kind == "persona") {
      keys.insert({"persona", row.id});
    } else if (row.kind == "assessment") {
      keys.insert({"assessment", absl::StrCat("assessment:", row.id, ":details")});
      keys.insert({"recommendations", absl::StrCat("recommendations:", row.id, ":list")});
      keys.insert({"dashboard", absl::StrCat("dashboard:overview:", row.owner)});
    } else if (row.kind == "recommendation") {
      keys.insert({"recommendations", absl::StrCat("recommendations:", row.parent, ":list")});
    } else {
      // What inherits from a context is of its namespace, and depends on it there.
      const bool cascade = row.kind == "context";
      keys.insert({row.kind, absl::StrCat(row.kind, ":", row.id), cascade});
      // Who shows the row as one of its own.
      if (row.kind == "task") keys.insert({"git_branch", "git_branch:" + row.parent});
      if (row.kind == "git_branch") keys.insert({"project", "project:" + row.parent});
      // Who inherits from it (2-09: a changed project is part of its branches and tasks).
      const char* below = row.kind == "project"      ? "git_branch"
                          : row.kind == "git_branch" ? "task"
                                                     : nullptr;
      if (below == nullptr) continue;
      absl::StatusOr<std::vector<Row>> children = ChildrenOf(below, row.id);
      if (!children.ok()) return children.status();
      for (Row& child : *children) open.push_back(std::move(child));
    }
  }
  return std::vector<CacheKey>(keys.begin(), keys.end());
}

absl::StatusOr<std::vector<CacheKey>> Database::Update(const Row& row) {
  if (!IsKnownKind(row.kind) || row.id.empty()) {
    return absl::InvalidArgumentError("wants a known kind and an id");
  }
  absl::MutexLock lock(&mu_);
  absl::StatusOr<std::optional<Row>> before = Find(row.kind, row.id);
  if (!before.ok()) return before.status();
  Row after = before->value_or(row);
  if (!row.state.empty()) after.state = row.state;
  if (!row.body.empty()) after.body = row.body;
  Statement write(db_, "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)");
  for (const std::string* text :
       {&after.kind, &after.id, &after.parent, &after.owner, &after.state, &after.body}) {
    write.Bind(*text);
  }
  write.Step();
  if (!write.status().ok()) return write.status();
  return KeysOf(after);
}

absl::StatusOr<std::vector<CacheKey>> Database::Remove(const Row& row) {
  if (!IsKnownKind(row.kind) || row.id.empty()) {
    return absl::InvalidArgumentError("wants a known kind and an id");
  }
  absl::MutexLock lock(&mu_);
  absl::StatusOr<std::optional<Row>> before = Find(row.kind, row.id);
  if (!before.ok()) return before.status();
  // Of a row that is gone already: the caches may have been away when it went.
  if (!*before) return KeysOf(row);
  Statement remove(db_, "DELETE FROM rows WHERE kind = ? AND id = ?");
  remove.Bind(row.kind);
  remove.Bind(row.id);
  remove.Step();
  if (!remove.status().ok()) return remove.status();
  return KeysOf(**before);
}

}  // namespace meridian::example

#include "server/node/dependencies.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "common/engine/tag_list.h"
#include "server/node/key_form.h"
#include "server/node/record.h"

namespace meridian {
namespace {

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// What is known of the keys that others depend on.
struct Known {
  std::map<std::string, std::vector<std::string>> tags;  // Of the keys that have any.
  std::vector<std::string> unread;                       // Sorted.
  std::vector<std::string> missing;                      // Not stored; sorted.
};

bool Has(const std::vector<std::string>& sorted, const std::string& name) {
  return std::binary_search(sorted.begin(), sorted.end(), name);
}

void AddTo(std::vector<std::string>* tags, const std::string& tag) {
  if (std::find(tags->begin(), tags->end(), tag) == tags->end()) tags->push_back(tag);
}

ClosedTags Close(std::string_view key, std::vector<std::string> tags,
                 const std::vector<std::string>& depends_on, const Known& known) {
  ClosedTags closed{.tags = std::move(tags)};
  const std::string own = DependencyTag(key);
  for (const std::string& dependency : depends_on) {
    const std::string_view name = std::string_view(dependency).substr(kKeyDependency.size());
    std::string tag =
        StartsWith(dependency, kKeyDependency) ? DependencyTag(name) : std::string(name);
    if (tag != own) AddTo(&closed.tags, tag);
  }
  for (const std::string& dependency : depends_on) {
    if (!StartsWith(dependency, kKeyDependency)) continue;
    const std::string name = dependency.substr(kKeyDependency.size());
    closed.cut |= Has(known.unread, name);
    // What is its own dependency hangs on nothing.
    closed.unknown |= name != key && Has(known.missing, name);
    const auto inherited = known.tags.find(name);
    if (inherited == known.tags.end()) continue;
    for (const std::string& tag : inherited->second) {
      if (tag == own) continue;
      if (tag == kDependenciesCutMark) {
        closed.cut = true;
      } else if (tag == kDependenciesUnknownMark) {
        closed.unknown = true;
      } else if (closed.tags.size() < kMaxEntryTags) {
        AddTo(&closed.tags, tag);
      } else if (std::find(closed.tags.begin(), closed.tags.end(), tag) == closed.tags.end()) {
        closed.cut = true;
      }
    }
  }
  if (closed.cut) closed.tags.emplace_back(kDependenciesCutMark);
  if (closed.unknown) closed.tags.emplace_back(kDependenciesUnknownMark);
  return closed;
}

void Learn(const std::string& key, std::string_view encoded_tags, Known* known) {
  if (encoded_tags.empty()) return;
  known->tags[key] = DecodeTags(encoded_tags).value_or(std::vector<std::string>());
}

// Without a store: what L1 has of our keys.
Known LookInL1(const NodeContext& context, const Namespace& name_space,
               const std::vector<std::string>& keys) {
  Known known;
  const TopologyHolder::Snapshot topology = context.topology.Get();
  const uint16_t self = topology->IndexOf(context.node_id);
  for (const std::string& key : keys) {
    const EntryKey located{name_space.id, SlotOf(name_space.name, key),
                           context.engine.HashOf(name_space.id, key), key};
    Entry entry;
    if (self == Topology::kNoOwner || topology->OwnerIndex(located.slot) != self) {
      known.unread.push_back(key);
    } else if (context.engine.Peek(located, context.clock.Monotonic(), &entry)) {
      Learn(key, entry.tags.view(), &known);
    } else {
      known.missing.push_back(key);
    }
  }
  return known;
}

// A write that waits for the store is newer than what the store has.
void TakeRecord(const NodeContext& context, const Namespace& name_space, const std::string& key,
                const L2Record& stored, Known* known) {
  std::optional<std::string> hint;
  if (context.hints != nullptr && !context.hints->empty()) {
    hint = context.hints->Find(name_space.name, key);
  }
  if (!hint && !stored.status.ok()) {
    known->unread.push_back(key);
    return;
  }
  const std::string_view bytes = hint ? std::string_view(*hint) : stored.record.view();
  const absl::StatusOr<Record> record =
      bytes.empty() ? absl::NotFoundError("") : ParseRecord(bytes);
  if (absl::IsNotFound(record.status())) {
    known->missing.push_back(key);
  } else if (!record.ok()) {
    known->unread.push_back(key);
  } else if (record->kind == RecordKind::kTombstone) {
    known->missing.push_back(key);  // A tombstone does not say what the value was made from.
  } else {
    Learn(key, record->tags, known);
  }
}

}  // namespace

void FormDependencies(const KeyPolicy& policy, std::vector<std::string>* depends_on) {
  for (std::string& dependency : *depends_on) {
    if (!StartsWith(dependency, kKeyDependency)) continue;
    const std::string key = dependency.substr(kKeyDependency.size());
    std::string storage;
    const std::string_view formed = FormKey(policy, key, &storage);
    // What has no form is nobody's key, whatever it is called.
    if (!formed.empty()) dependency = absl::StrCat(ToAbsl(kKeyDependency), ToAbsl(formed));
  }
}

void CloseDependencies(const NodeContext& context, const Namespace& name_space,
                       const std::vector<Dependent>& entries, absl::Time deadline,
                       ClosedCallback callback) {
  // Before anything is looked at: no fence that is made from here on may miss what is being made.
  const uint64_t written = context.versions.Next().hlc;
  std::vector<std::string> keys;
  for (const Dependent& entry : entries) {
    for (const std::string& dependency : *entry.depends_on) {
      if (StartsWith(dependency, kKeyDependency)) {
        keys.push_back(dependency.substr(kKeyDependency.size()));
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (keys.empty() || context.l1_only) {
    const Known known = LookInL1(context, name_space, keys);
    std::vector<ClosedTags> closed;
    for (const Dependent& entry : entries) {
      closed.push_back(Close(entry.key, *entry.tags, *entry.depends_on, known));
    }
    return callback(std::move(closed), written);
  }
  struct Open {
    std::string key;
    std::vector<std::string> tags;
    std::vector<std::string> depends_on;
  };
  std::vector<Open> open;
  for (const Dependent& entry : entries) {
    open.push_back({std::string(entry.key), *entry.tags, *entry.depends_on});
  }
  std::vector<L2Key> stored;
  for (const std::string& key : keys) {
    stored.push_back({SlotOf(name_space.name, key), name_space.name, key});
  }
  // A replica may not know yet what an entry hangs on: then that is told as unknown.
  context.l2.FetchFromPrimary(
      std::move(stored), deadline,
      [&context, &name_space, written, keys = std::move(keys), open = std::move(open),
       callback = std::move(callback)](const std::vector<L2Record>& records) {
        Known known;
        for (size_t i = 0; i < keys.size(); ++i) {
          TakeRecord(context, name_space, keys[i], records[i], &known);
        }
        std::vector<ClosedTags> closed;
        for (const Open& entry : open) {
          closed.push_back(Close(entry.key, entry.tags, entry.depends_on, known));
        }
        callback(std::move(closed), written);
      });
}

}  // namespace meridian

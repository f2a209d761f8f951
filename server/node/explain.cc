#include "server/node/explain.h"

#include <algorithm>
#include <utility>

#include "common/base/hash.h"
#include "server/node/absence.h"
#include "server/node/record.h"
#include "server/node/routing.h"

namespace meridian {
namespace {

TierReport ReportEntry(const Entry& entry, absl::Duration now) {
  TierReport report;
  report.tier = Tier::kL1;
  report.holding = Holding::kValue;
  report.version = entry.version;
  report.ttl = entry.expires_at - now;
  report.size = entry.value.size();
  report.raw_size = entry.raw_size;
  report.encoding = entry.encoding;
  report.tags = DecodeTags(entry.tags.view()).value_or(std::vector<std::string>());
  return report;
}

TierReport ReportL1(const NodeContext& context, const Namespace& name_space, std::string_view key) {
  EntryKey entry_key;
  entry_key.name_space = name_space.id;
  entry_key.slot = SlotOf(name_space.name, key);
  entry_key.hash = context.engine.HashOf(name_space.id, key);
  entry_key.key = key;
  const absl::Duration now = context.clock.Monotonic();
  Entry entry;
  if (context.engine.Peek(entry_key, now, &entry) && !IsAbsence(entry)) {
    return ReportEntry(entry, now);
  }
  TierReport nothing;
  nothing.tier = Tier::kL1;
  return nothing;
}

// A mirror knows fences only as its reader does.
TierReport ReportMirror(const NodeContext& context, const Namespace& name_space,
                        std::string_view key, const Entry& entry) {
  TierReport report = ReportEntry(entry, context.clock.Monotonic());
  report.mirror = true;
  const uint64_t written = entry.written != 0 ? entry.written : entry.version.hlc;
  if (context.engine.fences().Covers(name_space.id, key, entry.tags.view(), written)) {
    report.holding = Holding::kFenced;
  }
  return report;
}

TierReport UnknownNamespace(std::string_view name) {
  TierReport report;
  report.holding = Holding::kUnavailable;
  report.error = TooManyNamespacesError(name);
  return report;
}

TierReport ReportL2(const NodeContext& context, const Namespace& name_space, std::string_view key,
                    const L2Record& record) {
  const absl::Time now = context.clock.Now();
  TierReport report;
  report.tier = Tier::kL2;
  if (!record.status.ok()) {
    report.holding = Holding::kUnavailable;
    report.error = FromStatus(record.status);
    return report;
  }
  if (record.record.empty()) return report;
  const absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
  if (!parsed.ok()) {
    report.holding = Holding::kUnavailable;
    report.error = Error{grpc::StatusCode::DATA_LOSS,
                         reason::kCorruptRecord,
                         std::string(parsed.status().message()),
                         {}};
    return report;
  }
  report.version = parsed->version;
  report.ttl = std::max(parsed->expires_at - now, absl::ZeroDuration());
  if (parsed->kind == RecordKind::kTombstone) {
    report.holding = Holding::kTombstone;
    return report;
  }
  // Kept for max_stale only; or the origin has no such key.
  if (parsed->expires_at <= now || parsed->kind == RecordKind::kAbsent) return report;
  const bool fenced =
      context.engine.fences().Covers(name_space.id, key, parsed->tags, parsed->written_hlc()) ||
      (context.horizons != nullptr &&
       context.horizons->Covers(SlotOf(name_space.name, key), parsed->written_hlc()));
  report.holding = fenced ? Holding::kFenced : Holding::kValue;
  report.size = parsed->value.size();
  report.raw_size = parsed->raw_size;
  report.encoding = parsed->encoding;
  report.tags = DecodeTags(parsed->tags).value_or(std::vector<std::string>());
  return report;
}

}  // namespace

std::vector<TierReport> Explainer::InMemory(std::string_view name, std::string_view key) const {
  const Namespace* name_space = context_.namespaces.Resolve(name);
  if (name_space == nullptr) return {UnknownNamespace(name)};
  std::vector<TierReport> reports = {ReportL1(context_, *name_space, key)};
  Entry entry;
  if (mirrors_ != nullptr && mirrors_->Peek(name, key, &entry)) {
    reports.push_back(ReportMirror(context_, *name_space, key, entry));
  }
  return reports;
}

void Explainer::Explain(std::string_view name, std::string_view key, absl::Time deadline,
                        ExplainCallback callback) {
  std::vector<TierReport> reports = InMemory(name, key);
  const Namespace* name_space = context_.namespaces.Resolve(name);
  if (name_space == nullptr || context_.l1_only) {
    callback(std::move(reports));
    return;
  }
  const L2Key l2_key{SlotOf(name, key), std::string(name), std::string(key)};
  context_.l2.Fetch({l2_key}, deadline - kReplyMargin,
                    [this, l2_key, name_space, reports = std::move(reports),
                     callback = std::move(callback)](std::vector<L2Record> records) mutable {
                      reports.push_back(ReportL2(context_, *name_space, l2_key.key, records[0]));
                      callback(std::move(reports));
                    });
}

}  // namespace meridian

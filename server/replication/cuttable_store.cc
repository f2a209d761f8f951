#include "server/replication/cuttable_store.h"

#include <utility>

namespace meridian {

std::vector<L2WriteResult> CuttableStore::Refused(size_t count) const {
  L2WriteResult refused;
  refused.status = cut_;
  return std::vector<L2WriteResult>(count, refused);
}

void CuttableStore::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  if (!cut_.ok()) return callback(std::vector<L2Record>(keys.size(), L2Record{cut_, {}}));
  store_.Fetch(std::move(keys), deadline, std::move(callback));
}

void CuttableStore::FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                     FetchCallback callback) {
  if (!cut_.ok()) return callback(std::vector<L2Record>(keys.size(), L2Record{cut_, {}}));
  store_.FetchFromPrimary(std::move(keys), deadline, std::move(callback));
}

void CuttableStore::Apply(std::vector<L2Write> writes, absl::Time deadline,
                          ApplyCallback callback) {
  if (!cut_.ok()) return callback(Refused(writes.size()));
  store_.Apply(std::move(writes), deadline, std::move(callback));
}

void CuttableStore::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                             LogCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.ReadLogs(std::move(reads), limit, deadline, std::move(callback));
}

void CuttableStore::ChangeCount(absl::Time deadline, CountCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.ChangeCount(deadline, std::move(callback));
}

void CuttableStore::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                            PositionsCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.LogEnds(std::move(slots), deadline, std::move(callback));
}

void CuttableStore::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                                 absl::Time deadline, PositionsCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.FetchCursors(std::move(source_region), std::move(slots), deadline, std::move(callback));
}

void CuttableStore::ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                                    std::vector<L2Write> writes, absl::Time deadline,
                                    ApplyCallback callback) {
  if (!cut_.ok()) return callback(Refused(writes.size()));
  store_.ApplyReplicated(std::move(source_region), slot, cursor, std::move(writes), deadline,
                         std::move(callback));
}

void CuttableStore::Scan(std::string from, size_t count, absl::Time deadline,
                         ScanCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.Scan(std::move(from), count, deadline, std::move(callback));
}

void CuttableStore::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                                  VersionsCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.FetchVersions(std::move(keys), deadline, std::move(callback));
}

void CuttableStore::ServerTime(absl::Time deadline, TimeCallback callback) {
  if (!cut_.ok()) return callback(cut_);
  store_.ServerTime(deadline, std::move(callback));
}

}  // namespace meridian

// One node with a Refill, in one thread: a real engine and real paths, a fake store, fake time.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_REFILL_REFILL_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_REFILL_REFILL_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/node/heat_namespace.h"
#include "server/refill/refill.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {

class RefillFixture : public NodeFixture {
 protected:
  ~RefillFixture() override {
    if (refill_ != nullptr) refill_->Stop();
  }

  // The only node: it owns every slot.
  void StartRefill(RefillOptions options = {}) {
    refill_ = std::make_unique<Refill>(
        options, node(0).context(), no_transport_, executor_,
        [this](absl::Duration took, uint64_t filled) { settled_.emplace_back(took, filled); });
    refill_->Start();
    executor_.RunDue();
  }
  void FollowAll() {
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) refill_->OnSlotGained(slot, {});
    executor_.RunDue();
  }

  // Keys of one slot.
  static std::string KeyOf(int i) { return absl::StrCat("{s}:", i); }
  static uint32_t Slot() { return SlotOf(kSpace, "{s}"); }

  // The value is in L2 only.
  void Store(const std::string& key, const std::string& value = "v") {
    ASSERT_EQ(WriteOne(node(0), SetOf(key, value, absl::Hours(1))).state, EntryState::kOk);
    node(0).engine().DropSlot(SlotOf(kSpace, key));
  }
  // As the slot's last owner did.
  void Plant(uint32_t slot, const std::string& bytes, absl::Duration ttl = absl::Hours(1)) {
    const Version version = node(0).versions().Next();
    std::string record;
    AppendRecord({.version = version,
                  .expires_at = clock_.Now() + ttl,
                  .raw_size = static_cast<uint32_t>(bytes.size()),
                  .tags = {},
                  .value = bytes},
                 &record);
    store_.Plant(HeatKeyOf(slot), record, absl::Hours(2));
  }
  void PlantDigest(std::vector<HeatKey> keys) {
    const uint32_t slot = SlotOf(keys[0].name_space, keys[0].key);
    Plant(slot, HeatDigest::Of(std::move(keys)).bytes());
  }
  std::optional<HeatDigest> SavedDigest(uint32_t slot) const {
    const auto bytes = store_.Peek(kHeatNamespace, absl::StrCat("heat:", slot));
    if (!bytes) return std::nullopt;
    const absl::StatusOr<Record> record = ParseRecord(*bytes);
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() ? HeatDigest::Parse(record->value, slot) : std::nullopt;
  }

  bool InL1(const std::string& key) {
    Entry entry;
    return node(0).engine().Peek(node(0).KeyOf(key), clock_.Monotonic(), &entry);
  }
  uint64_t Outcomes(RefillOutcome outcome) const {
    return refill_->counters()[static_cast<size_t>(outcome)];
  }

  struct NoTransport final : HandOffTransport {
    void HandOff(const Member&, uint64_t, std::vector<HandOffItem>, absl::Time,
                 HandOffDone done) override {
      done(absl::UnavailableError("nobody"));
    }
  };
  NoTransport no_transport_;
  std::vector<std::pair<absl::Duration, uint64_t>> settled_;
  std::unique_ptr<Refill> refill_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_REFILL_REFILL_FIXTURE_H_

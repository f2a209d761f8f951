#include "server/node/flight_table.h"

#include <utility>

namespace meridian {

bool FlightTable::IsOvertaken(const Flight& flight, const Waiter& waiter) const {
  if (waiter.BeganAfterDropOf(flight.token)) return true;
  // Changes that are older than the flight's version come late: from a changelog.
  if (waiter.token.change > flight.token.change && flight.watch.newest() > flight.version) {
    return true;
  }
  // Fences by tag are left: which they cover is known when the value is there.
  const EntryKey& key = flight.key();
  return waiter.fences > flight.fences &&
         engine_.fences().NewestOfKey(key.name_space, key.key) >= flight.version.hlc;
}

bool FlightTable::TryJoin(Flight& flight, Waiter* waiter, Joined* joined) const {
  absl::MutexLock lock(&flight.mu);
  if (flight.landed) return false;
  // What a look into L2 finds is compared with what its waiters know when it is there.
  if (flight.kind == FlightKind::kOwned && flight.phase != FlightPhase::kReading &&
      IsOvertaken(flight, *waiter)) {
    if (flight.phase == FlightPhase::kLoading) return false;
    joined->void_lease = flight.version;
  }
  if (flight.next_id == 0) {
    flight.warm_source = waiter->warm_source;
  } else if (waiter->warm_source == 0) {
    flight.warm_source = 0;
  }
  joined->id = flight.next_id++;
  flight.waiters.emplace_hint(flight.waiters.end(), joined->id, std::move(*waiter));
  return true;
}

FlightTable::Joined FlightTable::Join(const Namespace& name_space, const SlotPolicies& policies,
                                      FlightKind kind, const EntryKey& key,
                                      std::string_view request_id, Waiter waiter) {
  Joined joined;
  if (waiters_.fetch_add(1, std::memory_order_relaxed) >= kMaxWaiters) {
    Left();
    return joined;
  }
  const auto make = [&] {
    auto flight = std::make_shared<Flight>(engine_, name_space, policies, kind, key, request_id);
    (void)TryJoin(*flight, &waiter, &joined);
    return flight;
  };
  std::shared_ptr<Flight> former;  // Destroyed without the lock.
  Part& part = PartOf(key.hash);
  absl::MutexLock lock(&part.mu);
  const auto it = part.flights.find(KeyOf(kind, key));
  if (it == part.flights.end()) {
    joined.lead = true;
    joined.flight = make();
    part.flights.emplace(KeyOf(kind, joined.flight->key()), Slot{joined.flight, nullptr});
    return joined;
  }
  Slot& slot = it->second;
  if (kind == FlightKind::kOwned) {
    if (TryJoin(*slot.now, &waiter, &joined)) {
      joined.flight = slot.now;
      return joined;
    }
    joined.lead = true;
    joined.flight = make();
    // The key's bytes are those of the flight that it names.
    former = std::move(slot.now);
    part.flights.erase(it);
    part.flights.emplace(KeyOf(kind, joined.flight->key()), Slot{joined.flight, nullptr});
    return joined;
  }
  if (slot.next == nullptr) {
    slot.next = make();
  } else {
    (void)TryJoin(*slot.next, &waiter, &joined);
  }
  joined.flight = slot.next;
  return joined;
}

std::shared_ptr<Flight> FlightTable::Lead(const Namespace& name_space, const SlotPolicies& policies,
                                          FlightKind kind, const EntryKey& key) {
  Part& part = PartOf(key.hash);
  absl::MutexLock lock(&part.mu);
  if (part.flights.contains(KeyOf(kind, key)) ||
      part.flights.contains(KeyOf(FlightKind::kOwned, key))) {
    return nullptr;
  }
  auto flight = std::make_shared<Flight>(engine_, name_space, policies, kind, key, "");
  part.flights.emplace(KeyOf(kind, flight->key()), Slot{flight, nullptr});
  return flight;
}

bool FlightTable::Return(const std::shared_ptr<Flight>& flight) {
  std::shared_ptr<Flight> former;  // Destroyed without the lock.
  Part& part = PartOf(flight->key().hash);
  absl::MutexLock lock(&part.mu);
  const Key key = KeyOf(flight->kind, flight->key());
  const auto it = part.flights.find(key);
  if (it != part.flights.end()) {
    if (it->second.now == flight) return true;
    {
      Flight& now = *it->second.now;
      absl::MutexLock flight_lock(&now.mu);
      if (!now.landed) {
        now.followers.push_back(flight);
        return false;
      }
    }
    former = std::move(it->second.now);
    part.flights.erase(it);
  }
  part.flights.emplace(key, Slot{flight, nullptr});
  return true;
}

void FlightTable::LeaseBegan(const std::shared_ptr<Flight>& flight) {
  const uint32_t slot = flight->key().slot;
  Leases& leases = leases_[slot % leases_.size()];
  absl::MutexLock lock(&leases.mu);
  leases.by_slot[slot].emplace(flight.get(), flight);
  leased_.fetch_add(1, std::memory_order_relaxed);
}

void FlightTable::LeaseEnded(const Flight& flight) {
  const uint32_t slot = flight.key().slot;
  Leases& leases = leases_[slot % leases_.size()];
  absl::MutexLock lock(&leases.mu);
  const auto of_slot = leases.by_slot.find(slot);
  if (of_slot == leases.by_slot.end() || of_slot->second.erase(&flight) == 0) return;
  if (of_slot->second.empty()) leases.by_slot.erase(of_slot);
  leased_.fetch_sub(1, std::memory_order_relaxed);
}

std::vector<std::shared_ptr<Flight>> FlightTable::LeasedOf(uint32_t slot) const {
  std::vector<std::shared_ptr<Flight>> flights;
  const Leases& leases = leases_[slot % leases_.size()];
  absl::MutexLock lock(&leases.mu);
  const auto of_slot = leases.by_slot.find(slot);
  if (of_slot == leases.by_slot.end()) return flights;
  flights.reserve(of_slot->second.size());
  for (const auto& [address, flight] : of_slot->second) flights.push_back(flight);
  return flights;
}

std::shared_ptr<Flight> FlightTable::Find(const EntryKey& key) {
  Part& part = PartOf(key.hash);
  absl::MutexLock lock(&part.mu);
  const auto it = part.flights.find(KeyOf(FlightKind::kOwned, key));
  return it == part.flights.end() ? nullptr : it->second.now;
}

std::shared_ptr<Flight> FlightTable::Remove(const Flight& flight) {
  std::shared_ptr<Flight> next;
  std::shared_ptr<Flight> former;  // Destroyed without the lock.
  Part& part = PartOf(flight.key().hash);
  absl::MutexLock lock(&part.mu);
  const auto it = part.flights.find(KeyOf(flight.kind, flight.key()));
  if (it == part.flights.end() || it->second.now.get() != &flight) return nullptr;
  former = std::move(it->second.now);
  next = std::move(it->second.next);
  part.flights.erase(it);
  if (next != nullptr) part.flights.emplace(KeyOf(next->kind, next->key()), Slot{next, nullptr});
  return next;
}

size_t FlightTable::size() const {
  size_t size = 0;
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mu);
    size += part.flights.size();
  }
  return size;
}

}  // namespace meridian

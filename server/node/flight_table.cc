#include "server/node/flight_table.h"

#include <utility>

namespace meridian {
namespace {

// False: the flight has landed, or it began before what the waiter has to see.
bool TryJoin(Flight& flight, FillToken token, Waiter* waiter, uint64_t* id) {
  absl::MutexLock lock(&flight.mu);
  if (flight.landed) return false;
  if (flight.kind == FlightKind::kOwned && !(flight.token == token)) return false;
  *id = flight.next_id++;
  flight.waiters.emplace_hint(flight.waiters.end(), *id, std::move(*waiter));
  return true;
}

}  // namespace

FlightTable::Joined FlightTable::Join(const Namespace& name_space, const NamespacePolicy& policy,
                                      FlightKind kind, const EntryKey& key, FillToken token,
                                      std::string_view request_id, Waiter waiter) {
  Joined joined;
  if (waiters_.fetch_add(1, std::memory_order_relaxed) >= kMaxWaiters) {
    Left();
    return joined;
  }
  const auto make = [&] {
    auto flight = std::make_shared<Flight>(name_space, policy, kind, key, token, request_id);
    (void)TryJoin(*flight, token, &waiter, &joined.id);
    return flight;
  };
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
    if (TryJoin(*slot.now, token, &waiter, &joined.id)) {
      joined.flight = slot.now;
      return joined;
    }
    joined.lead = true;
    joined.flight = make();
    // The key's bytes are those of the flight that it names.
    std::shared_ptr<Flight> former = std::move(slot.now);
    part.flights.erase(it);
    part.flights.emplace(KeyOf(kind, joined.flight->key()), Slot{joined.flight, nullptr});
    return joined;
  }
  if (slot.next == nullptr) {
    slot.next = make();
  } else {
    (void)TryJoin(*slot.next, token, &waiter, &joined.id);
  }
  joined.flight = slot.next;
  return joined;
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

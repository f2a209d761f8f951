// Tells ThreadSanitizer what Debian's Abseil, which was built without it, does: without this, every
// lock of an absl::Mutex is invisible and every access under it a reported race.
//
// Linked into every program of the tsan preset (sanitizers.cmake), where the linker's --wrap sends
// our calls through here. Conditions are polled, so that only the waiting thread evaluates them.

#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#define REAL(symbol) __real__ZN4absl7debian3##symbol
#define REAL_CONST(symbol) __real__ZNK4absl7debian3##symbol
#define WRAP(symbol) __wrap__ZN4absl7debian3##symbol
#define WRAP_CONST(symbol) __wrap__ZNK4absl7debian3##symbol

using absl::Condition;
using absl::CondVar;
using absl::Duration;
using absl::Mutex;
using absl::Notification;

extern "C" {

void REAL(5Mutex4LockEv)(Mutex*);
void REAL(5Mutex6UnlockEv)(Mutex*);
bool REAL(5Mutex7TryLockEv)(Mutex*);
void REAL(5Mutex10ReaderLockEv)(Mutex*);
void REAL(5Mutex12ReaderUnlockEv)(Mutex*);
void REAL(7CondVar4WaitEPNS0_5MutexE)(CondVar*, Mutex*);
bool REAL(7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(CondVar*, Mutex*, Duration);
void REAL(12Notification6NotifyEv)(Notification*);
void REAL_CONST(12Notification19WaitForNotificationEv)(const Notification*);
bool REAL_CONST(12Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(const Notification*,
                                                                               Duration);

void WRAP(5Mutex4LockEv)(Mutex* mu) {
  REAL(5Mutex4LockEv)(mu);
  __tsan_acquire(mu);
}

void WRAP(5Mutex6UnlockEv)(Mutex* mu) {
  __tsan_release(mu);
  REAL(5Mutex6UnlockEv)(mu);
}

bool WRAP(5Mutex7TryLockEv)(Mutex* mu) {
  const bool locked = REAL(5Mutex7TryLockEv)(mu);
  if (locked) __tsan_acquire(mu);
  return locked;
}

void WRAP(5Mutex10ReaderLockEv)(Mutex* mu) {
  REAL(5Mutex10ReaderLockEv)(mu);
  __tsan_acquire(mu);
}

void WRAP(5Mutex12ReaderUnlockEv)(Mutex* mu) {
  __tsan_release(mu);
  REAL(5Mutex12ReaderUnlockEv)(mu);
}

bool WRAP(5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE)(Mutex* mu,
                                                                    const Condition& condition,
                                                                    Duration timeout) {
  const absl::Time give_up = absl::Now() + timeout;
  while (!condition.Eval()) {
    if (absl::Now() >= give_up) return false;
    WRAP(5Mutex6UnlockEv)(mu);
    absl::SleepFor(absl::Milliseconds(1));
    WRAP(5Mutex4LockEv)(mu);
  }
  return true;
}

void WRAP(5Mutex5AwaitERKNS0_9ConditionE)(Mutex* mu, const Condition& condition) {
  WRAP(5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE)
  (mu, condition, absl::InfiniteDuration());
}

void WRAP(7CondVar4WaitEPNS0_5MutexE)(CondVar* changed, Mutex* mu) {
  __tsan_release(mu);
  REAL(7CondVar4WaitEPNS0_5MutexE)(changed, mu);
  __tsan_acquire(mu);
}

bool WRAP(7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(CondVar* changed, Mutex* mu,
                                                                Duration timeout) {
  __tsan_release(mu);
  const bool timed_out =
      REAL(7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(changed, mu, timeout);
  __tsan_acquire(mu);
  return timed_out;
}

void WRAP(12Notification6NotifyEv)(Notification* notification) {
  __tsan_release(notification);
  REAL(12Notification6NotifyEv)(notification);
}

void WRAP_CONST(12Notification19WaitForNotificationEv)(const Notification* notification) {
  REAL_CONST(12Notification19WaitForNotificationEv)(notification);
  __tsan_acquire(const_cast<Notification*>(notification));
}

bool WRAP_CONST(12Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
    const Notification* notification, Duration timeout) {
  const bool notified = REAL_CONST(12Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
      notification, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(notification));
  return notified;
}

}  // extern "C"

// A library for LD_PRELOAD: the wall clock of a real process is off by what a test says, and jumps
// when the test changes it. MERIDIAN_CLOCK_SHIFT names a file of one int64_t: nanoseconds to add
// (clock_shift.h writes it). Monotonic time stays what it is, as with a machine whose date is
// wrong.
//
// What is given to the kernel as a wall time is shifted back: a wait until "in 5 ms" takes 5 ms.

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr int64_t kNanos = 1'000'000'000;
// Monotonic time, since the start of the machine, never gets there; wall time did in 2001.
constexpr time_t kLeastWallSeconds = 1'000'000'000;

const std::atomic<int64_t>* OpenShift() {
  static const std::atomic<int64_t> none{0};
  const char* path = std::getenv("MERIDIAN_CLOCK_SHIFT");
  const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return &none;
  void* memory = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? &none : static_cast<const std::atomic<int64_t>*>(memory);
}

int64_t Shift() {
  static const std::atomic<int64_t>* const shift = OpenShift();
  return shift->load(std::memory_order_relaxed);
}

timespec Moved(const timespec& time, int64_t by) {
  const int64_t nanos = time.tv_sec * kNanos + time.tv_nsec + by;
  return {.tv_sec = nanos / kNanos, .tv_nsec = nanos % kNanos};
}

// A point in time for the kernel. Whoever says which clock it is of by nothing but its size is
// believed.
timespec Real(const timespec& time) {
  return time.tv_sec < kLeastWallSeconds ? time : Moved(time, -Shift());
}

template <typename Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// The declarations of glibc say noexcept of some of these.
extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static auto* const next = Next(&clock_gettime, "clock_gettime");
  const int result = next(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    *time = Moved(*time, Shift());
  }
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const timespec* until) {
  static auto* const next = Next(&pthread_cond_timedwait, "pthread_cond_timedwait");
  const timespec real = Real(*until);
  return next(condition, mutex, &real);
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* until) {
  static auto* const next = Next(&pthread_cond_clockwait, "pthread_cond_clockwait");
  const timespec real = clock == CLOCK_REALTIME ? Moved(*until, -Shift()) : *until;
  return next(condition, mutex, clock, &real);
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) noexcept {
  static auto* const next = Next(&pthread_mutex_timedlock, "pthread_mutex_timedlock");
  const timespec real = Moved(*until, -Shift());
  return next(mutex, &real);
}

int sem_timedwait(sem_t* semaphore, const timespec* until) {
  static auto* const next = Next(&sem_timedwait, "sem_timedwait");
  const timespec real = Moved(*until, -Shift());
  return next(semaphore, &real);
}

// Abseil's and libstdc++'s waits.
long syscall(long number, ...) noexcept {
  static auto* const next = Next(&syscall, "syscall");
  va_list list;
  va_start(list, number);
  long words[6];
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  timespec real;
  if (number == SYS_futex && (words[1] & FUTEX_CLOCK_REALTIME) != 0 && words[3] != 0) {
    real = Moved(*reinterpret_cast<const timespec*>(words[3]), -Shift());
    words[3] = reinterpret_cast<long>(&real);
  }
  return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

}  // extern "C"

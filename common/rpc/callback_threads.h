// KeepCallbackThreads: the threads that run gRPC's callbacks live as long as the process.
//
// gRPC 1.51 ends them with the last channel or server that uses them. Where that is a channel whose
// last owner is a callback, the thread waits for itself, frees its queue and goes on using it. An
// owner cannot promise to be gone before the last callback of a call is over, so nobody has to:
// whoever makes channels for callback calls calls this first.

#ifndef MERIDIAN_COMMON_RPC_CALLBACK_THREADS_H_
#define MERIDIAN_COMMON_RPC_CALLBACK_THREADS_H_

namespace meridian {

// Cost: after the first call, a load. Thread safety: any thread may call it at any time.
void KeepCallbackThreads();

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_CALLBACK_THREADS_H_

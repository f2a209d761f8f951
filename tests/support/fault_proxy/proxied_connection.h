// ProxiedConnection is one client's connection through a FaultProxy, and the one to the target that
// belongs to it.
//
// Invariants: `held` of a pipe has as many bytes as its line; a side that is gone (nullptr) is
// never
//   dialled again.
// It asks its proxy to forget it when both ends have ended, or one was reset. Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_PROXIED_CONNECTION_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_PROXIED_CONNECTION_H_

#include <cstdint>

#include "tests/support/fault_proxy/delay_line.h"
#include "tests/support/fault_proxy/fault_proxy.h"

struct bufferevent;
struct evbuffer;
struct event;

namespace meridian {

class ProxiedConnection {
 public:
  // Takes the socket over. Dials the target, unless the link is cut.
  ProxiedConnection(FaultProxy& proxy, uint64_t id, int fd);
  ~ProxiedConnection();
  ProxiedConnection(const ProxiedConnection&) = delete;
  ProxiedConnection& operator=(const ProxiedConnection&) = delete;

  // The faults of the proxy have changed. False: nothing is left to be done, forget it.
  [[nodiscard]] bool OnFaultsChanged();
  // What is closed from here on is reset.
  void Reset();

 private:
  struct Pipe {
    ProxiedConnection* connection = nullptr;
    bufferevent* source = nullptr;
    bufferevent* sink = nullptr;
    evbuffer* held = nullptr;
    event* timer = nullptr;
    LinkSchedule* link = nullptr;
    uint64_t* arrived = nullptr;  // Bytes of the whole proxy.
    DelayLine line;
    bool source_ended = false;
    bool shut = false;  // The sink was told that the source sends no more.
  };

  void SetUp(Pipe* pipe, LinkSchedule* link, uint64_t* arrived);
  void Dial();
  Pipe& From(bufferevent* side) { return side == up_.source ? up_ : down_; }
  Pipe& To(bufferevent* side) { return side == up_.sink ? up_ : down_; }
  void OnRead(Pipe& pipe);
  void Lose(Pipe& pipe);
  void Pump(Pipe& pipe);
  void OnEvent(bufferevent* side, short what);  // NOLINT: libevent's type.
  void CloseSide(bufferevent* side);
  // Reads from the source only while little waits.
  void HoldBackSender(Pipe& pipe);
  // Ends the stream towards a sink that has everything; forgets the connection after the second.
  void ShutWhenDone(Pipe& pipe);

  FaultProxy& proxy_;
  const uint64_t id_;
  bufferevent* client_ = nullptr;
  bufferevent* target_ = nullptr;
  Pipe up_;
  Pipe down_;
  bool connected_ = false;  // To the target.
  bool lost_ = false;       // Something that was sent will never arrive.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_PROXIED_CONNECTION_H_

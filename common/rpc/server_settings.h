// What every gRPC server and channel of Meridian has in common.

#ifndef MERIDIAN_COMMON_RPC_SERVER_SETTINGS_H_
#define MERIDIAN_COMMON_RPC_SERVER_SETTINGS_H_

#include <grpcpp/channel.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/rpc/tls.h"

namespace meridian {

// Largest message that a public and a peer server accept: a batch of 32 MiB and its framing.
inline constexpr int kMaxMessageBytes = 40 << 20;

// Calls of one connection at a time; the others wait in the client. What another node forwards comes
// on one connection, and all of it may wait for one load: with writes and fences behind it.
inline constexpr int kStreams = 1024;
inline constexpr int kPeerStreams = 16 * 1024;

// A service of grpc.health.v1 that is SERVING from when a program listens until it ends, whatever it
// waits for: for who restarts what does not answer.
inline constexpr char kLiveService[] = "meridian.live";

// gRPC compression off (a 130 KB gzip message inflates to 128 MiB before the size limit refuses it),
// keepalive pings every 10 s permitted, bounded streams and metadata, no port sharing.
void ApplyServerSettings(grpc::ServerBuilder* builder, int streams = kStreams);

// A channel to `address` (host:port) with keepalive and its own connection; reconnects quickly: the
// first back-off is 100 ms, the longest 2 s.
std::shared_ptr<grpc::Channel> CreateChannelTo(const std::string& address,
                                               const ChannelSecurity& security = {});

// "host:port" with the port that the OS chose in place of 0.
std::string BoundAddress(std::string_view requested, int bound_port);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_SERVER_SETTINGS_H_

#include "client/cli/replay_batches.h"

#include <utility>

namespace meridian::cli {

ReplayBatches::ReplayBatches(RequestSource& source, ReplayBatchOptions options)
    : options_(options), source_(source), random_(options.seed ^ 0x5EED), left_(options.limit) {
  for (size_t region = 0; region < options_.regions; ++region) {
    for (size_t name_space = 0; name_space < source.namespaces().size(); ++name_space) {
      open_.push_back({.region = region, .name_space = static_cast<uint8_t>(name_space)});
    }
  }
}

bool ReplayBatches::Take(ReplayBatch* batch) {
  absl::MutexLock lock(&mu_);
  ReplayRequest request;
  while (ready_.empty() && left_ > 0 && source_.Next(&request)) {
    --left_;
    if (options_.spread == ReplaySpread::kSplit) {
      Put(random_.Below(options_.regions), request);
    } else {
      for (size_t region = 0; region < options_.regions; ++region) Put(region, request);
    }
  }
  if (ready_.empty() && !flushed_) {
    flushed_ = true;
    for (ReplayBatch& open : open_) {
      if (!open.requests.empty()) Close(open);
    }
  }
  if (ready_.empty()) return false;
  *batch = std::move(ready_.front());
  ready_.pop_front();
  return true;
}

absl::Status ReplayBatches::status() const {
  absl::MutexLock lock(&mu_);
  return source_.status();
}

void ReplayBatches::Put(size_t region, const ReplayRequest& request) {
  ReplayBatch& open = open_[region * source_.namespaces().size() + request.name_space];
  open.requests.push_back(request);
  open.bytes += request.value_size;
  if (open.requests.size() >= options_.batch || open.bytes >= options_.max_bytes) Close(open);
}

void ReplayBatches::Close(ReplayBatch& batch) {
  ready_.push_back({.region = batch.region,
                    .name_space = batch.name_space,
                    .requests = std::exchange(batch.requests, {}),
                    .bytes = std::exchange(batch.bytes, 0)});
}

}  // namespace meridian::cli

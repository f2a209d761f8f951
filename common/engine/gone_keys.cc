#include "common/engine/gone_keys.h"

namespace meridian {

void GoneKeys::Put(uint64_t hash, MissCause cause) {
  if (cells_ == nullptr) {
    // Zeroed by the system. Without it all misses are new.
    cells_.reset(static_cast<uint16_t*>(std::calloc(mask_ + 1, sizeof(uint16_t))));
    if (cells_ == nullptr) return;
  }
  cells_.get()[IndexOf(hash)] =
      static_cast<uint16_t>(FingerprintOf(hash) | static_cast<uint16_t>(cause));
}

}  // namespace meridian

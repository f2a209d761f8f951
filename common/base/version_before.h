// The neighbours of a Version, for what stands in the place of a change that cannot be sent: it
// must be newer than everything that the change has overtaken, and older than the change itself.

#ifndef MERIDIAN_COMMON_BASE_VERSION_BEFORE_H_
#define MERIDIAN_COMMON_BASE_VERSION_BEFORE_H_

#include <cstdint>

#include "common/base/version.h"

namespace meridian {

// The newest version that is older than `version`: no write of any region comes between the two.
// Its region is nobody's, but for one chance in some ten thousand. Not set when nothing is older.
inline Version JustBefore(Version version) {
  if (version.region > 0) return {version.hlc, static_cast<uint16_t>(version.region - 1)};
  return version.hlc > 0 ? Version{version.hlc - 1, 0xffff} : Version();
}

// The newest version of `region` that is older than `version`: what it says, its region says, and
// tells the others. Other regions' may come between the two.
inline Version NewestBefore(Version version, uint16_t region) {
  if (region < version.region) return {version.hlc, region};
  return version.hlc > 0 ? Version{version.hlc - 1, region} : Version();
}

// A drop of `here`, which the later change `named` has made old: newer than `here` and older than
// `named`, of `region` if there is such a one, because that is passed on. REQUIRES: here < named.
inline Version DropBetween(Version here, Version named, uint16_t region) {
  const Version own = NewestBefore(named, region);
  return own > here ? own : JustBefore(named);
}

// Whether `region` has made the change, or it stands just before one of that region's.
inline bool IsChangeOf(Version version, uint16_t region) {
  return version.region == region || version.region + 1 == region;
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_VERSION_BEFORE_H_

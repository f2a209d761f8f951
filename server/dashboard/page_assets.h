// PageAssets are the files of the dashboard page, as the build has put them into the program
// (embed_page.py): nothing is read from the file system at run time.
//
// Thread safety: constants.

#ifndef MERIDIAN_SERVER_DASHBOARD_PAGE_ASSETS_H_
#define MERIDIAN_SERVER_DASHBOARD_PAGE_ASSETS_H_

#include <cstddef>
#include <span>
#include <string_view>

namespace meridian {

struct PageAsset {
  std::string_view path;          // "/" or "/assets/NAME".
  std::string_view content_type;  // With its charset.
  std::string_view etag;          // Strong, in its quotes; of the bytes, so equal in equal builds.
  std::string_view bytes;
  std::string_view gzip;  // Empty: it is not shorter.
};

// Sorted by nothing in particular, some twenty.
std::span<const PageAsset> PageAssets();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_DASHBOARD_PAGE_ASSETS_H_

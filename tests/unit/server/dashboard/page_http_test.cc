#include "server/dashboard/page_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "common/base/strings.h"
#include "server/dashboard/page_assets.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HttpReply Ask(HttpRequest request) {
  std::optional<HttpReply> reply = AnswerPage(request);
  EXPECT_TRUE(reply.has_value()) << request.path;
  return reply.value_or(HttpReply{.code = 0});
}

std::string EtagOf(const std::string& path) {
  for (const PageAsset& asset : PageAssets()) {
    if (asset.path == path) return std::string(asset.etag);
  }
  return "";
}

std::string Inflate(const std::string& packed, size_t size) {
  std::string raw(size, '\0');
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);  // gzip.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(raw.data());
  stream.avail_out = static_cast<uInt>(raw.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  return raw;
}

// All that `pattern` finds in `text`, its first group each.
std::set<std::string> FindAll(const std::string& text, const char* pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), expression), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

TEST(PageHttpTest, ThePageAndAllThatItNamesIsThere) {
  const HttpReply page = Ask({.path = "/"});
  EXPECT_EQ(page.code, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  const std::set<std::string> named = FindAll(page.body, R"re((?:src|href)="(/[^"]*)")re");
  EXPECT_GE(named.size(), 4u);
  for (const std::string& path : named) EXPECT_EQ(Ask({.path = path}).code, 200) << path;
}

TEST(PageHttpTest, EveryModuleFindsTheModulesThatItImports) {
  size_t imports = 0;
  for (const PageAsset& asset : PageAssets()) {
    if (asset.path == "/assets/chart.js") continue;  // Not ours, and imports nothing.
    for (const std::string& name : FindAll(std::string(asset.bytes), R"re(from '\./([\w.]+)')re")) {
      EXPECT_EQ(Ask({.path = "/assets/" + name}).content_type, "text/javascript; charset=utf-8")
          << asset.path << " imports " << name;
      ++imports;
    }
  }
  EXPECT_GT(imports, 20u);
}

TEST(PageHttpTest, ChartJsIsThatOfTheSystem) {
  EXPECT_THAT(Ask({.path = "/assets/chart.js"}).body, HasSubstr("Chart.js v3"));
}

TEST(PageHttpTest, OnlyThisServerMayGiveScriptsStylesAndData) {
  for (const PageAsset& asset : PageAssets()) {
    const HttpReply reply = Ask({.path = std::string(asset.path)});
    EXPECT_EQ(reply.content_security_policy,
              "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
              "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    EXPECT_EQ(reply.cache_control, "no-cache") << asset.path;
  }
}

TEST(PageHttpTest, ThePageHasNothingInlineAndNothingFromElsewhere) {
  const std::string page = Ask({.path = "/"}).body;
  EXPECT_FALSE(std::regex_search(page, std::regex("<script(?![^>]* src=)")));
  EXPECT_FALSE(std::regex_search(page, std::regex("<style| style=| on[a-z]+=")));
  for (const PageAsset& asset : PageAssets()) {
    if (asset.path == "/assets/chart.js") continue;
    std::string text(asset.bytes);
    // A name, not an address.
    for (size_t at; (at = text.find("http://www.w3.org/2000/svg")) != std::string::npos;) {
      text.erase(at, 4);
    }
    EXPECT_THAT(text, Not(HasSubstr("http:"))) << asset.path;
    EXPECT_THAT(text, Not(HasSubstr("https:"))) << asset.path;
    EXPECT_THAT(text, Not(HasSubstr("innerHTML"))) << asset.path;
  }
}

TEST(PageHttpTest, ACopyThatIsStillGoodIsNotSentAgain) {
  const std::string etag = EtagOf("/");
  ASSERT_EQ(etag.size(), 34u);
  EXPECT_THAT(Ask({.path = "/"}).extra_header, HasSubstr("ETag: " + etag + "\r\n"));
  for (const std::string& tags :
       {etag, "W/" + etag, "\"other\", " + etag, std::string("*"), " " + etag + " "}) {
    const HttpReply reply = Ask({.path = "/", .if_none_match = tags});
    EXPECT_EQ(reply.code, 304) << tags;
    EXPECT_EQ(reply.body, "");
    EXPECT_THAT(reply.extra_header, HasSubstr("ETag: " + etag));
  }
  for (const std::string& tags :
       {std::string("\"other\""), EtagOf("/assets/app.js"), etag.substr(1), std::string(",,")}) {
    EXPECT_EQ(Ask({.path = "/", .if_none_match = tags}).code, 200) << tags;
  }
}

TEST(PageHttpTest, GzipIsForThoseWhoTakeIt) {
  const std::string raw = Ask({.path = "/assets/chart.js"}).body;
  for (const char* accepts : {"gzip", "deflate, gzip;q=0.5", "br, gzip, zstd", "identity,gzip"}) {
    const HttpReply reply = Ask({.path = "/assets/chart.js", .accept_encoding = accepts});
    EXPECT_THAT(reply.extra_header, HasSubstr("Content-Encoding: gzip\r\n")) << accepts;
    EXPECT_THAT(reply.extra_header, HasSubstr("Vary: Accept-Encoding\r\n"));
    EXPECT_LT(reply.body.size(), raw.size() / 2);
    EXPECT_TRUE(Inflate(reply.body, raw.size()) == raw) << accepts;
  }
  for (const char* accepts : {"", "br", "gzip;q=0", "gzip; q=0.000", "xgzip", "gzipx"}) {
    const HttpReply reply = Ask({.path = "/assets/chart.js", .accept_encoding = accepts});
    EXPECT_THAT(reply.extra_header, Not(HasSubstr("Content-Encoding"))) << accepts;
    EXPECT_TRUE(reply.body == raw) << accepts;
  }
}

TEST(PageHttpTest, NoOtherPathIsThePages) {
  for (const char* path :
       {"", "/assets", "/assets/", "/assets/..", "/assets/../index.html", "/assets//app.js",
        "/assets/package.json", "/assets/index.html", "/index.html", "/ASSETS/app.js",
        "/assets/app.js/", "//", "/etc/passwd", "/../../etc/passwd", "/assets/app.js\n"}) {
    EXPECT_FALSE(AnswerPage({.path = path}).has_value()) << path;
  }
}

}  // namespace
}  // namespace meridian

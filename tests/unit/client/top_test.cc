// What `meridianctl top` makes of two looks at a node, and how it shows it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/cli/style.h"
#include "client/cli/text_table.h"
#include "client/cli/top_rates.h"
#include "client/cli/top_screen.h"

namespace meridian::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

admin::v1::GetFiguresResponse Figures(uint64_t at_ms, uint64_t l1_hits, uint64_t misses) {
  admin::v1::GetFiguresResponse figures;
  figures.set_node("n1");
  figures.set_region("us");
  figures.set_incarnation(1);
  figures.set_at_unix_ms(at_ms);
  figures.set_calls(l1_hits + misses);
  figures.set_cpu_seconds(static_cast<double>(at_ms) / 2000);
  for (const double bound : {0.001, 0.01}) figures.add_latency_bounds(bound);
  figures.mutable_call_latency()->add_counts(l1_hits);
  figures.mutable_call_latency()->add_counts(misses);
  admin::v1::NamespaceFigures& row = *figures.add_namespaces();
  row.set_l1_hits(l1_hits);
  row.set_misses(misses);
  figures.mutable_status()->set_l1_bytes(3 << 20);
  figures.mutable_status()->set_l1_limit_bytes(64 << 20);
  figures.add_links()->set_lag_ms(40);
  figures.add_links()->set_lag_ms(70);
  return figures;
}

TEST(TopRatesTest, RatesAreOfTheTimeBetweenTwoLooks) {
  const auto before = Figures(10'000, 1000, 500);
  const TopRow row = RowOf(&before, Figures(12'000, 1180, 520));
  EXPECT_TRUE(row.has_rates);
  EXPECT_DOUBLE_EQ(row.calls, 100);
  EXPECT_DOUBLE_EQ(row.l1_hits, 90);
  EXPECT_DOUBLE_EQ(row.misses, 10);
  EXPECT_DOUBLE_EQ(row.Share(row.l1_hits), 0.9);
  EXPECT_DOUBLE_EQ(row.cpu, 0.5);
  EXPECT_EQ(row.call_latency.count(), 200u) << "not of the time before";
  EXPECT_LE(row.QuantileMs(0.5), 1);
  EXPECT_GT(row.QuantileMs(0.99), 1);
  EXPECT_EQ(row.lag, absl::Milliseconds(70)) << "the worst";
}

TEST(TopRatesTest, ANodeThatBeganAnewHasNoRates) {
  const auto before = Figures(10'000, 1000, 500);
  auto now = Figures(12'000, 5, 5);
  now.set_incarnation(2);
  EXPECT_FALSE(RowOf(&before, now).has_rates);
  EXPECT_FALSE(RowOf(nullptr, now).has_rates);
  EXPECT_FALSE(RowOf(&before, before).has_rates) << "no time has gone by";
  EXPECT_EQ(RowOf(nullptr, now).l1_bytes, 3u << 20);
}

// A BatchGet is OK when the origin of its keys is away.
TEST(TopRatesTest, KeysThatFailInCallsThatDoNotAreSeen) {
  auto before = Figures(10'000, 1000, 500);
  before.mutable_namespaces(0)->set_errors(40);
  auto now = Figures(12'000, 1180, 520);
  now.mutable_namespaces(0)->set_errors(49);
  TopView view;
  view.nodes = {RowOf(&before, now), RowOf(&before, now)};
  EXPECT_DOUBLE_EQ(view.nodes[0].read_errors, 4.5);
  EXPECT_DOUBLE_EQ(view.nodes[0].failed_calls, 0);
  EXPECT_THAT(TopText(view, Style(true)), AllOf(HasSubstr("errors/s"), HasSubstr("\033[31m4.5")));
  EXPECT_EQ(TopJson(view)["nodes"][0]["read_errors_per_second"], 4.5);
  EXPECT_EQ(TopJson(view)["regions"][0]["read_errors_per_second"], 9);
}

TEST(TopScreenTest, NodesTheirRegionAndHotKeys) {
  const auto before = Figures(10'000, 1000, 500);
  TopView view;
  view.nodes = {RowOf(&before, Figures(12'000, 1180, 520)),
                RowOf(&before, Figures(12'000, 1020, 680))};
  view.nodes[1].node = "n2";
  view.hot_keys = {{"us", "n1", "task", "t:1", 12.5}};
  const std::string text = TopText(view, Style(false));
  EXPECT_THAT(text,
              AllOf(HasSubstr("L1 MiB"), HasSubstr("90.0"), HasSubstr("3.0/64"), HasSubstr("70ms"),
                    HasSubstr("t:1"), HasSubstr("12.5"), Not(HasSubstr("\033"))));
  ASSERT_EQ(view.Regions().size(), 1u);
  const TopRow all = view.Regions()[0];
  EXPECT_DOUBLE_EQ(all.calls, 200);
  EXPECT_DOUBLE_EQ(all.Share(all.l1_hits), 0.5);
  EXPECT_EQ(all.call_latency.count(), 400u);
  EXPECT_EQ(all.l1_limit_bytes, 128u << 20);
  const auto json = TopJson(view);
  EXPECT_EQ(json["nodes"].size(), 2u);
  EXPECT_EQ(json["regions"][0]["calls_per_second"], 200);
  EXPECT_EQ(json["hot_keys"][0]["key"], "t:1");
}

TEST(TopScreenTest, ANodeThatIsAwayIsRed) {
  TopView view;
  TopRow away;
  away.node = "n1";
  away.problem = "refused";
  view.nodes = {away};
  EXPECT_THAT(TopText(view, Style(true)), AllOf(HasSubstr("\033[31maway"), HasSubstr("refused")));
  EXPECT_EQ(TopJson(view)["nodes"][0]["problem"], "refused");
  EXPECT_TRUE(view.Regions().empty());
}

TEST(TopScreenTest, WithoutCallsTheirTimeIsNotNought) {
  const auto before = Figures(10'000, 1000, 500);
  TopView view;
  view.nodes = {RowOf(&before, Figures(12'000, 1000, 500))};
  EXPECT_THAT(TopText(view, Style(false)), Not(HasSubstr("0.00")));
}

TEST(TopScreenTest, HotKeysThatAreNotKnownAreNotNone) {
  TopView view;
  EXPECT_THAT(TopText(view, Style(false)), HasSubstr("no hot keys"));
  view.hot_keys_unknown = {"n1", "n2"};
  EXPECT_THAT(TopText(view, Style(false)),
              AllOf(HasSubstr("hot keys not known of n1, n2"), Not(HasSubstr("no hot keys"))));
  EXPECT_EQ(TopJson(view)["hot_keys_unknown"].size(), 2u);
  view.hot_keys = {{"us", "n3", "task", "t:1", 12.5}};
  EXPECT_THAT(TopText(view, Style(false)), AllOf(HasSubstr("t:1"), HasSubstr("not known of n1")));
  view.wants_hot_keys = false;
  EXPECT_THAT(TopText(view, Style(false)), Not(HasSubstr("hot key"))) << "--keys 0";
}

TEST(TopScreenTest, ItFitsTheTerminal) {
  EXPECT_EQ(InPlace("12345\nb\nc", 3, 3), "\033[H123\033[K\r\nb\033[K\r\n\033[J");
  EXPECT_EQ(InPlace("12345", 0, 0), "\033[H12345\033[K\r\n\033[J");
  // Characters, not bytes; a colour ends where the line does.
  EXPECT_EQ(InPlace("é€ü45", 3, 3), "\033[Hé€ü\033[K\r\n\033[J");
  EXPECT_EQ(InPlace("ab\033[31mcd\033[0me", 3, 3), "\033[Hab\033[31mc\033[0m\033[K\r\n\033[J");
  EXPECT_EQ(CutToWidth("a\xff", 5), "a\xff") << "bytes that are no text do no harm";
  EXPECT_EQ(CutToWidth("\033[3", 5), "\033[3");
}

TEST(StyleTest, ColoursDoNotMoveColumns) {
  EXPECT_EQ(DisplayWidth("\033[31mabc\033[0m"), 3u);
  EXPECT_EQ(DisplayWidth("é€"), 2u);
  TextTable table({"a", "b"});
  table.Add({Style(true).Red("xy"), "1"});
  table.Add({"xyz", "2"});
  EXPECT_EQ(table.ToText(), "a    b\n\033[31mxy\033[0m   1\nxyz  2");
  EXPECT_EQ(Style(false).Severity("critical", "c"), "c");
}

TEST(StyleTest, NoColorAndTheOption) {
  EXPECT_TRUE(WantsColour("always", 1));
  EXPECT_FALSE(WantsColour("never", 1));
}

}  // namespace
}  // namespace meridian::cli

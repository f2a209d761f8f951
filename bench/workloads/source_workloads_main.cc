// The headline experiments of sources 000 and 004 against the code that serves them, in virtual
// time.
//
// See persona_workload.h for the model of source 000 and --help for what is run.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/workloads/pareto_experiment.h"
#include "bench/workloads/persona_experiment.h"
#include "common/base/number_option.h"

namespace {

constexpr char kAbout[] =
    "The headline experiments of sources 000 and 004 (docs/requirements.md), run in virtual time "
    "on\n"
    "the real read and write paths, policies and engine over an in-memory regional store.\n\n"
    "Source 000: 46 requests a second for hours, first with its baseline (1000 entries, 60 s, "
    "LRU),\n"
    "then with what it planned and with what we found better. The model must reproduce the "
    "baseline before it may "
    "show\n"
    "a gain: exit code 1 when it does not. Source 004: 50 requests, 80 % of them for 10 items.\n\n"
    "  source-workloads --planned config/persona.yaml --tuned config/persona-tuned.yaml";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kAbout);
  meridian::PersonaProfiles profiles;
  double hours = 3;
  uint64_t seed = 1;
  bool json = false;
  app.add_option("--planned", profiles.planned, "Configuration that source 000 planned")
      ->required();
  app.add_option("--tuned", profiles.tuned, "Configuration that we found better")->required();
  app.add_option("--hours", hours, "Virtual hours that are measured, default 3")
      ->check(meridian::FiniteNumber(0.1, 100));
  app.add_option("--seed", seed, "Of the random draws, default 1")
      ->check(meridian::WholeNumber(0, std::numeric_limits<uint64_t>::max()));
  app.add_flag("--json", json, "One JSON object instead of tables");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const absl::StatusOr<meridian::PersonaReport> persona =
      meridian::RunPersonaExperiment(profiles, hours, seed);
  if (!persona.ok()) {
    std::fprintf(stderr, "source-workloads: %s\n", std::string(persona.status().message()).c_str());
    return 1;
  }
  const meridian::ParetoReport pareto = meridian::RunParetoExperiment(seed);
  const meridian::LayerShares layers = meridian::RunLayerExperiment(seed);
  if (json) {
    const nlohmann::json document = {{"bench", "source-workloads"},
                                     {"source_000", meridian::ToJson(*persona)},
                                     {"source_004", meridian::ToJson(pareto)},
                                     {"source_004_layers", meridian::ToJson(layers)}};
    std::printf("%s\n", document.dump().c_str());
  } else {
    std::fputs(meridian::ToText(*persona).c_str(), stdout);
    std::fputs(meridian::ToText(pareto).c_str(), stdout);
    std::fputs(meridian::ToText(layers).c_str(), stdout);
  }
  return 0;
}

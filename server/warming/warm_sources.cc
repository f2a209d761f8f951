#include "server/warming/warm_sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace meridian {
namespace {

using Json = nlohmann::json;

constexpr char kFixed[] = "fixed";
constexpr char kManual[] = "manual";
constexpr char kPrediction[] = "prediction";
constexpr char kStartup[] = "startup";

// Never held back.
bool IsAsked(const std::string& source) { return source == kFixed || source == kManual; }

uint64_t Grown(uint64_t now, uint64_t before) { return now - std::min(now, before); }

// Leaders of a release before have kept the rate only.
WarmBudget::Memory MemoryIn(const Json& json, double rate, const WarmBudget::Memory& first) {
  WarmBudget::Memory memory{rate, 0, first.is_trusted && rate >= first.rate};
  const auto gained = json.find("gained");
  const auto trusted = json.find("trusted");
  if (gained != json.end() && gained->is_number()) memory.gained = gained->get<double>();
  if (trusted != json.end() && trusted->is_boolean()) memory.is_trusted = trusted->get<bool>();
  return memory;
}

uint64_t CountIn(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

}  // namespace

WarmSources::OfName* WarmSources::Of(const Name& name, absl::Duration now) {
  const auto found = sources_.find(name);
  if (found != sources_.end()) {
    found->second.busy_at = now;
    return &found->second;
  }
  if (sources_.size() >= kMaxSources) return nullptr;
  WarmBudgetOptions options;
  options.ceiling = ceiling_(name.second);
  options.first = options.ceiling;
  options.trusted = true;
  if (name.first != kStartup) options.credit = kCredit;
  if (name.first == kPrediction) {
    options.first = kFirstOfPrediction;
    options.credit = kCreditOfPrediction;
    options.trusted = false;
  }
  return &sources_.emplace(name, OfName{{}, 0, WarmBudget(options, now), now}).first->second;
}

void WarmSources::Report(const std::string& node, const WarmFigures& figures, absl::Duration now) {
  const auto known = nodes_.find(node);
  if (known != nodes_.end() && known->second.incarnation != figures.incarnation) {
    SetGone(&known->second, true);
    nodes_.erase(known);
    nodes_[node].incarnation = figures.incarnation;  // All that it says is new.
  }
  const bool is_first = nodes_.count(node) == 0;
  if (is_first && nodes_.size() >= kMaxNodes) {
    std::erase_if(nodes_, [](const auto& other) { return other.second.is_gone; });
  }
  Node& of_node = nodes_[node];
  of_node.incarnation = figures.incarnation;
  of_node.heard = now;
  SetGone(&of_node, false);
  const bool counts = !is_first || !restored_;
  for (const WarmFigures::OfSource& warmed : figures.warmed) {
    const Name name{warmed.source, warmed.name_space};
    const auto told = of_node.warmed.find(name);
    if (told == of_node.warmed.end() && of_node.warmed.size() >= 2 * kMaxSources) continue;
    if (told != of_node.warmed.end() && told->second == warmed) continue;
    OfName* const of = counts ? Of(name, now) : nullptr;
    if (counts && of == nullptr) continue;
    WarmFigures::OfSource& before = of_node.warmed[name];
    if (counts) {
      changed_ = true;
      of->outcomes.warmed += Grown(warmed.warmed, before.warmed);
      of->outcomes.used += Grown(warmed.used, before.used);
      of->outcomes.unused += Grown(warmed.unused, before.unused);
      of->outcomes.displaced += Grown(warmed.displaced, before.displaced);
    }
    before = warmed;
  }
  for (const auto& [name_space, requests] : figures.requests) {
    uint64_t& before = of_node.requests[name_space];
    if (!is_first) {
      requests_[name_space] += static_cast<double>(Grown(requests, before));
    }
    before = requests;
  }
}

void WarmSources::SetGone(Node* node, bool is_gone) {
  if (std::exchange(node->is_gone, is_gone) == is_gone) return;
  for (const auto& [name, warmed] : node->warmed) {
    const auto of = sources_.find(name);
    if (of == sources_.end()) continue;
    const uint64_t waiting = Grown(warmed.warmed, warmed.used + warmed.unused);
    uint64_t& lost = of->second.outcomes.lost;
    lost = is_gone ? lost + waiting : Grown(lost, waiting);
  }
}

bool WarmSources::Tick(absl::Duration now) {
  if (now - ticked_at_ < kUpdate) return false;
  const double seconds =
      ticked_at_ == -absl::InfiniteDuration() ? 0 : absl::ToDoubleSeconds(now - ticked_at_);
  ticked_at_ = now;
  for (auto& [id, node] : nodes_) {
    if (now - node.heard > kSilent) SetGone(&node, true);
  }
  changed_ |= std::erase_if(sources_, [now](const auto& entry) {
                return now - entry.second.busy_at > kIdle;
              }) > 0;
  for (auto& [name, of] : sources_) {
    const auto requests = requests_.find(name.second);
    const double rate =
        requests == requests_.end() || seconds <= 0 ? 0 : requests->second / seconds;
    const double before = of.budget.memory().rate;
    of.budget.Update(of.outcomes, rate, now);
    changed_ |= of.budget.memory().rate != before;
  }
  requests_.clear();
  return std::exchange(changed_, false);
}

std::optional<double> WarmSources::RateOf(const std::string& source, const std::string& name_space,
                                          absl::Duration now) {
  if (IsAsked(source)) return std::nullopt;
  const OfName* const of = Of({source, name_space}, now);
  if (of == nullptr && source == kPrediction) {
    return std::min(kFirstOfPrediction, ceiling_(name_space));
  }
  if (of == nullptr || of->budget.at_ceiling()) return std::nullopt;
  return of->budget.rate();
}

void WarmSources::TakeCeilings() {
  for (auto& [name, of] : sources_) of.budget.SetCeiling(ceiling_(name.second));
  changed_ = true;
}

void WarmSources::AddRefused(const std::string& source, const std::string& name_space,
                             uint64_t keys, absl::Duration now) {
  OfName* const of = Of({source, name_space}, now);
  if (of == nullptr) return;
  of->refused += keys;
  changed_ = true;
}

std::vector<WarmSources::View> WarmSources::List(const std::string& name_space) const {
  std::vector<View> views;
  for (const auto& [name, of] : sources_) {
    if (!name_space.empty() && name.second != name_space) continue;
    views.push_back(
        {name.first, name.second, of.outcomes, of.budget.precision(), of.budget.net_benefit(),
         IsAsked(name.first) ? ceiling_(name.second) : of.budget.rate(), of.refused, of.earlier});
  }
  return views;
}

Json WarmSources::ToJson() const {
  Json all = Json::array();
  for (const auto& [name, of] : sources_) {
    const WarmBudget::Memory memory = of.budget.memory();
    all.push_back({{"source", name.first},
                   {"namespace", name.second},
                   {"warmed", of.outcomes.warmed},
                   {"used", of.outcomes.used},
                   {"unused", of.outcomes.unused},
                   {"displaced", of.outcomes.displaced},
                   {"lost", of.outcomes.lost},
                   {"refused", of.refused},
                   {"rate", memory.rate},
                   {"gained", memory.gained},
                   {"trusted", memory.is_trusted}});
  }
  return all;
}

void WarmSources::Restore(const Json& json, absl::Duration now) {
  Clear();
  restored_ = true;
  if (!json.is_array()) return;
  for (const Json& one : json) {
    if (!one.is_object()) continue;
    const auto source = one.find("source");
    const auto name_space = one.find("namespace");
    const auto rate = one.find("rate");
    if (source == one.end() || !source->is_string() || name_space == one.end() ||
        !name_space->is_string() || rate == one.end() || !rate->is_number()) {
      continue;
    }
    OfName* const of = Of({source->get<std::string>(), name_space->get<std::string>()}, now);
    if (of == nullptr) break;
    of->outcomes = {CountIn(one, "warmed"), CountIn(one, "used"), CountIn(one, "unused"),
                    CountIn(one, "displaced"), CountIn(one, "lost")};
    of->earlier = of->outcomes;
    of->refused = CountIn(one, "refused");
    of->budget.Restore(MemoryIn(one, rate->get<double>(), of->budget.memory()), of->outcomes, now);
  }
}

void WarmSources::Clear() {
  sources_.clear();
  nodes_.clear();
  requests_.clear();
  restored_ = false;
  ticked_at_ = -absl::InfiniteDuration();
}

}  // namespace meridian

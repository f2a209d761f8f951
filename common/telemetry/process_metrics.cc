#include "common/telemetry/process_metrics.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace meridian {
namespace {

// Fields of /proc/self/stat by the numbers of proc(5).
constexpr int kUserTime = 14;
constexpr int kSystemTime = 15;
constexpr int kThreads = 20;
constexpr int kStartTime = 22;
constexpr int kVirtualBytes = 23;
constexpr int kResidentPages = 24;

std::optional<double> StatField(int number) {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = text.rfind(')');  // Field 2 may hold spaces.
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= number; ++i) {
    if (!(rest >> field)) return std::nullopt;
  }
  return std::stod(field);
}

std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  double seconds = 0;
  while (file >> word) {
    if (word == "btime" && file >> seconds) return seconds;
  }
  return std::nullopt;
}

std::optional<double> OpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  int count = -3;  // ".", "..", and the directory itself.
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

double TicksPerSecond() { return static_cast<double>(sysconf(_SC_CLK_TCK)); }

std::vector<MetricSample> SampleOf(std::optional<double> value, double factor = 1) {
  if (!value.has_value()) return {};
  return {{.values = {}, .value = *value * factor}};
}

}  // namespace

double ProcessCpuSeconds() {
  const double ticks = StatField(kUserTime).value_or(0) + StatField(kSystemTime).value_or(0);
  return ticks / TicksPerSecond();
}

uint64_t ProcessResidentBytes() {
  return static_cast<uint64_t>(StatField(kResidentPages).value_or(0)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void AddProcessMetrics(MetricRegistry& registry) {
  registry.AddCallbackCounters({"process_cpu_seconds_total", "User and system CPU time spent."},
                               [] {
                                 const std::optional<double> user = StatField(kUserTime);
                                 const std::optional<double> system = StatField(kSystemTime);
                                 if (!user.has_value() || !system.has_value())
                                   return std::vector<MetricSample>{};
                                 return SampleOf(*user + *system, 1 / TicksPerSecond());
                               });
  registry.AddGauges({"process_resident_memory_bytes", "Resident memory."}, [] {
    return SampleOf(StatField(kResidentPages), static_cast<double>(sysconf(_SC_PAGESIZE)));
  });
  registry.AddGauges({"process_virtual_memory_bytes", "Virtual memory."},
                     [] { return SampleOf(StatField(kVirtualBytes)); });
  registry.AddGauges({"process_threads", "Threads."}, [] { return SampleOf(StatField(kThreads)); });
  registry.AddGauges({"process_open_fds", "Open file descriptors."},
                     [] { return SampleOf(OpenFiles()); });
  registry.AddGauges(
      {"process_start_time_seconds", "When the process started, since the Unix epoch."}, [] {
        const std::optional<double> boot = BootTime();
        const std::optional<double> start = StatField(kStartTime);
        if (!boot.has_value() || !start.has_value()) return std::vector<MetricSample>{};
        return SampleOf(*boot + *start / TicksPerSecond());
      });
}

}  // namespace meridian

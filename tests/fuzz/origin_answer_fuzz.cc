// Whatever bytes an origin answers, what is parsed of them is bounded, and every key that was asked
// for has one answer that may be stored or is an error.

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/unknown_field_set.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "server/origin/answer_shape.h"
#include "server/origin/load_results.h"

namespace {

using meridian::LoadOutcome;

// What a parser makes of an answer.
size_t UnknownOf(const google::protobuf::UnknownFieldSet& unknown) {
  size_t count = static_cast<size_t>(unknown.field_count());
  for (int i = 0; i < unknown.field_count(); ++i) {
    if (unknown.field(i).type() == google::protobuf::UnknownField::TYPE_GROUP) {
      count += UnknownOf(unknown.field(i).group());
    }
  }
  return count;
}

size_t UnknownOf(const google::protobuf::Message& message) {
  return UnknownOf(message.GetReflection()->GetUnknownFields(message));
}

size_t FieldsOf(const meridian::origin::v1::BatchLoadResponse& response) {
  size_t count = UnknownOf(response);
  for (const auto& result : response.results()) {
    count += 1 + UnknownOf(result);
    count += static_cast<size_t>(result.tags_size() + result.depends_on_size());
  }
  return count;
}

void CheckAnswers(meridian::origin::v1::BatchLoadResponse response) {
  const size_t results = static_cast<size_t>(response.results_size());
  const meridian::LoadResults taken = meridian::TakeLoadResults({"a", "b", ""}, &response);
  if (taken.answers.size() != 3 || taken.ignored > results) std::abort();
  for (const meridian::OriginAnswer& answer : taken.answers) {
    if ((answer.outcome == LoadOutcome::kError) != (answer.error != nullptr)) std::abort();
    if (answer.outcome == LoadOutcome::kFound &&
        (answer.tags.size() > 32 || !std::isfinite(answer.cost) || answer.cost < 0)) {
      std::abort();
    }
  }
}

}  // namespace

// The first byte says in pieces of what size the bytes come, and how often.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const int piece = 1 + data[0] % 64;
  const size_t times = data[0] >= 250 ? 40'000 : 1;
  std::string bytes;
  for (size_t i = 0; i < times; ++i) {
    bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (bytes.size() > size_t{1} << 20) break;
  }
  google::protobuf::io::ArrayInputStream in(bytes.data(), static_cast<int>(bytes.size()), piece);
  const absl::Status shape = meridian::CheckAnswerShape(in);
  meridian::origin::v1::BatchLoadResponse response;
  if (shape.code() == absl::StatusCode::kOutOfRange) return 0;
  const bool parsed = response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (parsed && !shape.ok()) std::abort();  // What is fine is not refused.
  if (FieldsOf(response) > meridian::kMaxAnswerFields) std::abort();
  if (parsed) CheckAnswers(std::move(response));
  return 0;
}

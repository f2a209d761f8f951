#include "server/origin/answer_shape.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "meridian/origin/v1/origin_service.pb.h"

namespace meridian {
namespace {

using google::protobuf::io::CodedInputStream;
using origin::v1::BatchLoadResponse;

// Of protobuf's encoding: what a field's tag says of its bytes.
enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kEnd = 4, kFixed32 = 5 };

// Counts the fields up to the stream's limit, those of results as well, and those of groups, which
// no message of ours has.
class FieldCounter {
 public:
  explicit FieldCounter(CodedInputStream& in) : in_(in) {}

  // False: too many, or what no parser reads.
  bool Count(bool in_result) {
    int groups = 0;  // That are open.
    while (const uint32_t tag = in_.ReadTag()) {
      if (++count_ > kMaxAnswerFields) return false;
      const uint32_t wire = tag & 7;
      if (wire == kGroup) ++groups;
      if (wire == kEnd && --groups < 0) return false;
      const bool result = !in_result && groups == 0 &&
                          tag == (BatchLoadResponse::kResultsFieldNumber << 3 | kBytes);
      if (!(result ? CountResult() : Skip(wire))) return false;
    }
    return in_.ConsumedEntireMessage();
  }
  bool too_many() const { return count_ > kMaxAnswerFields; }

 private:
  bool CountResult() {
    int size = 0;
    if (!in_.ReadVarintSizeAsInt(&size)) return false;
    const CodedInputStream::Limit before = in_.PushLimit(size);
    const bool counted = Count(/*in_result=*/true);
    in_.PopLimit(before);
    return counted;
  }

  bool Skip(uint32_t wire) {
    uint64_t number = 0;
    int size = 0;
    switch (wire) {
      case kVarint:
        return in_.ReadVarint64(&number);
      case kFixed64:
        return in_.Skip(8);
      case kBytes:
        return in_.ReadVarintSizeAsInt(&size) && in_.Skip(size);
      case kGroup:
      case kEnd:
        return true;
      case kFixed32:
        return in_.Skip(4);
      default:
        return false;
    }
  }

  CodedInputStream& in_;
  size_t count_ = 0;
};

}  // namespace

absl::Status CheckAnswerShape(google::protobuf::io::ZeroCopyInputStream& bytes) {
  CodedInputStream in(&bytes);
  FieldCounter counter(in);
  if (counter.Count(/*in_result=*/false)) return absl::OkStatus();
  if (counter.too_many()) {
    return absl::OutOfRangeError(
        absl::StrCat("the answer has more than ", kMaxAnswerFields, " fields"));
  }
  return absl::InternalError("the answer is no BatchLoadResponse");
}

}  // namespace meridian

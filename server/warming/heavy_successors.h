// HeavySuccessors knows which keys most often come after one: the few that matter, whatever else
// comes.
//
// It is the Space-Saving summary (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent
//   and top-k elements in data streams", ICDT 2005) of a stream whose counts decay: a newcomer
//   takes the place of the one with the least count and inherits that count as its error. So
//   count - error never overstates, and what is seen in more than a share 1/kPlaces of the looks is
//   there.
// Cost: 16 bytes a place; O(kPlaces), no allocation. Thread safety: none.

#ifndef MERIDIAN_SERVER_WARMING_HEAVY_SUCCESSORS_H_
#define MERIDIAN_SERVER_WARMING_HEAVY_SUCCESSORS_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace meridian {

class HeavySuccessors {
 public:
  static constexpr size_t kPlaces = 6;
  struct Place {
    uint64_t key = 0;  // A hash; 0: free.
    float count = 0;
    float error = 0;
    float sure() const { return count - error; }
  };

  void Add(uint64_t key, float weight = 1) {
    Place* least = &places_[0];
    for (Place& place : places_) {
      if (place.key == key) {
        place.count += weight;
        return;
      }
      if (place.count < least->count) least = &place;
    }
    *least = {key, least->count + weight, least->count};
  }

  // All counts become `factor` times as much; what is next to nothing then is forgotten.
  void Decay(float factor) {
    for (Place& place : places_) {
      place.count *= factor;
      place.error *= factor;
      if (place.count < kNothing) place = {};
    }
  }

  // As the store has it. REQUIRES: 0 <= place.error <= place.count.
  void Set(size_t i, Place place) { places_[i] = place; }
  const std::array<Place, kPlaces>& places() const { return places_; }

 private:
  static constexpr float kNothing = 0.05F;
  std::array<Place, kPlaces> places_ = {};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_HEAVY_SUCCESSORS_H_

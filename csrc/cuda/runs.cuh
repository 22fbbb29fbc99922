// The tokens of runs, one run after the other, without what lies between them.
#pragma once

#include <cstdint>
#include <vector>

#include "device.hpp"
#include "search.cuh"

namespace probsig::gpu {

// What kernels see of runs. A token's *place* is where it stands among the tokens of all runs.
struct RunsView {
  const std::int64_t* starts;
  const std::int64_t* places;  // of the first tokens
  std::int64_t size;

  __device__ std::int64_t run_of(std::int64_t place) const {
    return segment_of(places, size, place);
  }
  __device__ std::int64_t position(std::int64_t run, std::int64_t place) const {
    return starts[run] + (place - places[run]);
  }
  __device__ std::int64_t end(std::int64_t run) const { return position(run, places[run + 1]); }
};

class Runs {
 public:
  // From the host.
  Runs(Span<std::int64_t> starts, Span<std::int64_t> ends)
      : size_(starts.size), starts_(DeviceArray<std::int64_t>::from_host(starts)) {
    std::vector<std::int64_t> places{0};
    for (std::int64_t run = 0; run < size_; ++run) {
      places.push_back(places.back() + ends[run] - starts[run]);
    }
    tokens_ = places.back();
    places_ = DeviceArray<std::int64_t>::from_host(places.data(), size_ + 1);
  }

  std::int64_t size() const { return size_; }
  std::int64_t tokens() const { return tokens_; }
  RunsView view() const { return {starts_.data(), places_.data(), size_}; }

 private:
  std::int64_t size_;
  std::int64_t tokens_ = 0;
  DeviceArray<std::int64_t> starts_;
  DeviceArray<std::int64_t> places_;
};

}  // namespace probsig::gpu

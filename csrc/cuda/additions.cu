// How much there is to add up: 8 bytes read for each span.

#include "launch.cuh"
#include "search.cuh"
#include "spans.hpp"

namespace probsig::gpu {
namespace {

__device__ unsigned long long warp_sum(unsigned long long value) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, step);
  }
  return value;
}

// A lane a span. Where a warp's spans are all of one row, as those of long rows are, they are added
// at once: or else millions of additions would meet at one place.
__global__ void additions_kernel(Span<std::int64_t> indptr, Span<Bounds> bounds, std::int64_t ids,
                                 unsigned long long* additions, std::uint32_t* outside) {
  const std::int64_t rows = indptr.size - 1;
  const std::int64_t first = indptr.data[0], last = indptr.data[rows];
  const std::int64_t lane = threadIdx.x % kWarp;
  for (std::int64_t k = first + thread_index(); k - lane < last; k += thread_count()) {
    const std::int64_t span = min(k, last - 1);
    const std::int64_t row = segment_of(indptr.data, rows, span);
    const Bounds at = bounds.data[span];
    const bool within = at.begin <= at.end && at.end <= ids;
    if (!within) atomicOr(outside, 1u);
    const unsigned long long length = within && k < last ? at.end - at.begin : 0;
    if (__all_sync(kAllLanes, row == __shfl_sync(kAllLanes, row, 0))) {
      const unsigned long long sum = warp_sum(length);
      if (lane == 0) atomicAdd(additions + row, sum);
    } else if (length > 0) {
      atomicAdd(additions + row, length);
    }
  }
}

}  // namespace

void add_additions(Span<std::int64_t> indptr, Span<Bounds> bounds, std::int64_t ids,
                   std::int64_t* additions, std::uint32_t* outside) {
  if (indptr.size < 2 || bounds.size == 0) return;
  constexpr int kThreads = 256, kBlocksEach = 8;
  launch("counting additions", {kBlocksEach * device_limits().multiprocessors, kThreads},
         additions_kernel, indptr, bounds, ids, reinterpret_cast<unsigned long long*>(additions),
         outside);
}

std::vector<std::int64_t> additions(Span<std::int64_t> indptr, Span<Bounds> bounds) {
  auto sums = DeviceArray<std::int64_t>::zeros(indptr.size - 1);
  auto outside = DeviceArray<std::uint32_t>::zeros(1);
  add_additions(indptr, bounds, std::int64_t{1} << 32, sums.data(), outside.data());
  std::vector<std::int64_t> result(static_cast<std::size_t>(sums.size()));
  sums.to_host(result.data());
  return result;
}

}  // namespace probsig::gpu

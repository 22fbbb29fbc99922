// Where runs end, for kernels that ask at each position of a chunk.
#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "device.hpp"
#include "launch.cuh"

namespace probsig::gpu {

// A cut is a position that is the last of its run or lies in none: positions i and i + d lie in one
// run where no cut is among i to i + d - 1.
struct alignas(8) MaskWord {
  std::uint32_t cuts;  // one bit for each of 32 positions
  std::uint32_t next;  // the first cut after them
};

// Of the first `core` tokens of a chunk, which has fewer than 2^32. Runs lie on the host.
DeviceArray<MaskWord> run_mask(Span<std::int64_t> starts, Span<std::int64_t> ends,
                               std::int64_t core);

// The first cut at or after position i, the last that i pairs with. All threads of a warp that look
// at consecutive positions read one or two words: 0.25 bytes a position.
__device__ inline std::int64_t first_cut(const MaskWord* mask, std::int64_t i) {
  const MaskWord word = mask[i / 32];
  const std::uint32_t rest = word.cuts >> (i % 32);
  return rest == 0 ? word.next : i + __ffs(static_cast<int>(rest)) - 1;
}

}  // namespace probsig::gpu

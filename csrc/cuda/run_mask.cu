#include "run_mask.cuh"

#include <vector>

#include "search.cuh"

namespace probsig::gpu {
namespace {

// Runs of two or more tokens, sorted; each has pairs, and all but its last token are no cuts.
struct Runs {
  const std::uint32_t* starts;
  const std::uint32_t* lasts;
  std::int64_t size;

  __device__ std::int64_t first_that_lasts_past(std::int64_t position) const {
    return first_not_below(lasts, size, position + 1);
  }
};

// Bits [begin, end) of 32.
__device__ std::uint32_t bits_between(std::int64_t begin, std::int64_t end) {
  const std::uint32_t below_end = end >= 32 ? ~0u : (1u << end) - 1;
  return below_end & ~((1u << begin) - 1);
}

__device__ MaskWord word_at(const Runs& runs, std::int64_t begin) {
  const std::int64_t end = begin + 32;
  std::uint32_t inside = 0;
  std::int64_t run = runs.first_that_lasts_past(begin);
  for (; run < runs.size && runs.starts[run] < end; ++run) {
    const std::int64_t start = max(static_cast<std::int64_t>(runs.starts[run]), begin);
    inside |= bits_between(start - begin, runs.lasts[run] - begin);
    if (runs.lasts[run] >= end) break;
  }
  // The run, if any, that position `end` lies in; else that is a cut, or past the tokens, where the
  // last token in this word is one.
  const bool goes_on = run < runs.size && runs.starts[run] <= end;
  return {~inside, goes_on ? runs.lasts[run] : static_cast<std::uint32_t>(end)};
}

}  // namespace

DeviceArray<MaskWord> run_mask(Span<std::int64_t> starts, Span<std::int64_t> ends,
                               std::int64_t core) {
  std::vector<std::uint32_t> first, last;
  for (std::int64_t run = 0; run < starts.size && starts[run] < core; ++run) {
    if (ends[run] - starts[run] < 2) continue;
    first.push_back(static_cast<std::uint32_t>(starts[run]));
    last.push_back(static_cast<std::uint32_t>(ends[run] - 1));
  }
  const auto size = static_cast<std::int64_t>(first.size());
  const auto starts_there = DeviceArray<std::uint32_t>::from_host(first.data(), size);
  const auto lasts_there = DeviceArray<std::uint32_t>::from_host(last.data(), size);
  const Runs runs{starts_there.data(), lasts_there.data(), size};

  DeviceArray<MaskWord> mask((core + 31) / 32);
  MaskWord* words = mask.data();
  for_each("marking where runs end", mask.size(),
           [=] __device__(std::int64_t word) { words[word] = word_at(runs, 32 * word); });
  return mask;
}

}  // namespace probsig::gpu

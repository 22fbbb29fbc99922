// Counters of single bits, many side by side: plane i holds bit i of every count.
//
// To add a line of bits to all of them at once takes two or three instructions for 512 counts, where
// adding the bits one by one takes one for each that is set.
#pragma once

#include <cstdint>

namespace probsig {

constexpr std::int64_t kLineBits = 512;

struct Line {
  std::uint64_t words[kLineBits / 64];
};

// Lines are added in groups of 2^kLeastPlanes, and so there are as many planes at least.
constexpr int kLeastPlanes = 3;

// How many planes hold counts up to `most`.
inline int planes_for(std::uint64_t most) {
  int planes = kLeastPlanes;
  while (most >> planes != 0) ++planes;
  return planes;
}

// Which line of a slab a member adds, and what else it means to the caller. `Number`: uint16_t where
// all of both fit, as half the bytes are half the cache lines, or uint32_t.
template <class Number>
struct Member {
  Number line;
  Number other;
};

// Adds the lines of `size` members, whole groups, to the counters in planes[0, n_planes), none of which
// overflows.
template <class Number>
void add_lines(const Line* lines, const Member<Number>* members, std::int64_t size, Line* planes,
               int n_planes);

// What `take_counts` may write beyond the counts it finds.
constexpr std::int64_t kCountSlack = 32;

// The counters from lane `first` on that are not 0, in order: their lanes and counts, of 32 bits; how
// many there are.
std::int64_t take_counts(const Line* planes, int n_planes, std::int64_t first, std::uint16_t* lanes,
                         std::uint32_t* counts);

}  // namespace probsig

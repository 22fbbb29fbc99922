// The weights of a running sum of pairs, and bits and bytes of its keys.
#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"
#include "pairs.hpp"

namespace probsig::gpu {

// Distances that one launch counts: those of a slab.
constexpr int kSpan = 64;

struct Slab {
  std::int64_t first = 0;  // distance
  int distances = 0;
  std::int64_t weights[kSpan] = {};  // of distances from `first` on

  std::int64_t weight_sum() const;
};

// Weights over their greatest common divisor, `factor`.
struct Weights {
  explicit Weights(Span<std::int64_t> given);

  std::int64_t factor = 1;
  std::vector<std::int64_t> reduced;
  bool differ = false;     // some are neither 0 nor 1
  std::int64_t steps = 0;  // distances whose weight is not 0

  // Each slab begins with a step; at most `span` distances each.
  std::vector<Slab> slabs(int span) const;
};

// Bits of a pair x * vocab_size + y.
int pair_bits(std::int64_t vocab_size);

}  // namespace probsig::gpu

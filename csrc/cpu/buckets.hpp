// Where each token's bucket begins; the histogram bounds how much comes into it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"

namespace probsig {

// Size: the vocabulary's plus one; the last is the sum.
inline std::vector<std::uint32_t> bucket_begins(Span<std::int64_t> sizes) {
  std::vector<std::uint32_t> begins(static_cast<std::size_t>(sizes.size) + 1);
  std::uint32_t sum = 0;
  for (std::int64_t id = 0; id < sizes.size; ++id) {
    begins[static_cast<std::size_t>(id)] = sum;
    sum += static_cast<std::uint32_t>(sizes[id]);
  }
  begins.back() = sum;
  return begins;
}

// Entries that rows can have at most, of whose ids each adds so many. For BlockBuilder::reserve: what
// is not used takes no memory, while to grow, by and by, costs copies and the huge pages.
inline std::int64_t most_entries(Span<std::int64_t> histogram, std::int64_t columns,
                                 std::int64_t additions) {
  std::int64_t most = 0;
  for (std::int64_t row = 0; row < histogram.size; ++row) {
    most += histogram[row] > columns / additions ? columns : histogram[row] * additions;
  }
  return most;
}

}  // namespace probsig

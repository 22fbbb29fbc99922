// How many bits one row of bits has in common with each of many.
#pragma once

#include <cstdint>

namespace probsig {

// Rows lie in groups of so many, word by word: word w of the rows of a group side by side. So one
// vector holds a word of each, and no sum ever goes across a vector.
constexpr std::int64_t kLanes = 8;

// counts[k] = bits that `row` (of `words` words) has in common with the k-th row of `bits`.
void common_bits(const std::uint64_t* row, const std::uint64_t* bits, std::int64_t words,
                 std::int64_t groups, std::uint32_t* counts);

}  // namespace probsig

// Next-token and window pairs of one chunk.
#pragma once

#include <variant>

#include "core/block.hpp"
#include "core/find_ids.hpp"
#include "core/views.hpp"

namespace probsig {

// Of 32 bits where all counts fit, by the histogram and the weights.
using PairBlock = std::variant<NarrowBlockBuilder, BlockBuilder>;

// N[x, y] = positions i < core with w_i = x, w_{i+1} = y in one run.
template <class Token>
PairBlock next_pairs(const Chunk<Token>& chunk, CancelFlag cancel);

// N[x, y] = sum of weights[d - 1] over i < core, d with w_i = x, w_{i+d} = y in one run.
// core * sum(weights) must be below 2^63. Only the rows of `rows`, within the vocabulary; of them
// alone the histogram is read.
template <class Token>
PairBlock window_pairs(const Chunk<Token>& chunk, Span<std::int64_t> weights, IdRange rows,
                       CancelFlag cancel);

}  // namespace probsig

// A running sum of next-token or window pairs on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "blocks.hpp"
#include "core/views.hpp"

namespace probsig::gpu {

// Takes a block: copies it to the host, say, and lets go of it.
using BlockSink = std::function<void(DeviceBlock&&)>;

// How the memory of a running sum is used.
struct PairPlan {
  std::int64_t heads = 0;          // most frequent ids whose pairs with each other have a cell each
  bool wide_cells = false;         // of 64 bits, not 32
  bool wide_keys = false;          // other pairs are sorted by keys of 64 bits, not 32
  int weight_bits = 0;             // lowest bits of a key, for the pair's distance
  std::int64_t tail_capacity = 0;  // other pairs that wait to be sorted
  std::int64_t most_sums = 0;      // sorted sums
};

// For about `total` tokens (-1: unknown, which counts as none). Beside its budget, a sum takes 0.25
// bytes for each token of the chunk being added, and 8 for each run of it at first.
// Throws std::invalid_argument where the budget holds not even the least that is needed.
PairPlan plan_pairs(std::int64_t vocab_size, Span<std::int64_t> weights, std::int64_t total,
                    std::int64_t budget);

class PairCounter;

// N[x, y] = sum of weights[d - 1] over i < core and d with w_i = x, w_{i+d} = y in one run, of all
// chunks added. core * sum(weights) must be below 2^63 for each.
//
// The sum is that of all blocks given to a sink. Each has the vocabulary's rows and columns, and no
// sum in it passes 2^63 - 1: before one could, all blocks are given away.
class PairSums {
 public:
  // `total` as for plan_pairs; where it is unknown, the first chunk's core stands for it.
  PairSums(std::int64_t vocab_size, std::vector<std::int64_t> weights, std::int64_t total,
           std::int64_t budget);
  ~PairSums();

  // Tokens lie on the device; runs and the histogram on the host. `sink` gets blocks where memory
  // is full. Once `cancel` is set or anything is thrown, the sum means nothing any more.
  template <class Token>
  void add(const Chunk<Token>& chunk, CancelFlag cancel, const BlockSink& sink);

  // Gives all that is left, in 0, 1 or several blocks.
  void take(const BlockSink& sink);

 private:
  std::int64_t vocab_size_;
  std::vector<std::int64_t> weights_;
  std::int64_t total_;
  std::int64_t budget_;
  std::unique_ptr<PairCounter> counter_;  // from the first chunk on
};

}  // namespace probsig::gpu

// Tokens by the law of Zipf, from whole numbers alone: the same on every machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "support.hpp"

namespace instructions {

using Token = std::uint16_t;
using Tokens = harness::OwnedChunk<Token>;

constexpr std::int64_t kRunLength = 2048;

// `size` tokens, each of frequency 1 / (rank + 3) or, one time in two, one of the 50 before it; in
// runs of kRunLength.
inline Tokens corpus(std::int64_t size, std::int64_t vocab_size) {
  std::mt19937_64 engine(1);
  const auto below = [&](std::uint64_t limit) { return engine() % limit; };
  std::vector<std::uint64_t> sums;
  std::vector<Token> ids;
  for (std::int64_t rank = 0; rank < vocab_size; ++rank) {
    const std::uint64_t weight = (std::uint64_t{1} << 40) / static_cast<std::uint64_t>(rank + 3);
    sums.push_back(weight + (sums.empty() ? 0 : sums.back()));
    ids.push_back(static_cast<Token>(rank));
  }
  for (std::size_t i = ids.size() - 1; i > 0; --i) std::swap(ids[i], ids[below(i + 1)]);

  Tokens chunk;
  chunk.core = size;
  chunk.histogram.assign(ids.size(), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
    if (i > 50 && below(2) == 0) {
      chunk.tokens.push_back(chunk.tokens[i - 1 - below(50)]);
    } else {
      const auto rank = std::upper_bound(sums.begin(), sums.end(), below(sums.back()));
      chunk.tokens.push_back(ids[static_cast<std::size_t>(rank - sums.begin())]);
    }
    ++chunk.histogram[chunk.tokens.back()];
  }
  for (std::int64_t begin = 0; begin < size; begin += kRunLength) {
    chunk.starts.push_back(begin);
    chunk.ends.push_back(std::min(size, begin + kRunLength));
  }
  return chunk;
}

}  // namespace instructions

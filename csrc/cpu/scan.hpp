// Histogram, cuts and validity of a chunk's tokens.
#pragma once

#include <cstdint>

#include "core/memory.hpp"
#include "core/views.hpp"

namespace probsig {

struct Scan {
  PodVector<std::int64_t> histogram;  // of the vocabulary's size
  PodVector<std::int64_t> cuts;       // positions of the ids in `cutting`, ascending
  std::int64_t invalid = -1;          // lowest position of an id that is neither valid nor cutting
};

// Histogram of the first `core` tokens; cuts and validity of all. `cutting` is sorted; ids in it
// may lie outside the vocabulary and are then in no histogram.
template <class Token>
Scan scan(Span<Token> tokens, std::int64_t core, std::int64_t vocab_size, Span<Token> cutting);

}  // namespace probsig

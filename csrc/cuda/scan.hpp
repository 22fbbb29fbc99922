// Histogram, cuts and validity of a chunk's tokens on the device.
#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"

namespace probsig::gpu {

// On the host.
struct Scan {
  std::vector<std::int64_t> histogram;  // of the vocabulary's size
  std::vector<std::int64_t> cuts;       // positions of the ids in `cutting`, ascending
  std::int64_t invalid = -1;            // lowest position of an id neither valid nor cutting
};

// As the CPU's scan. `tokens` lie on the device, `cutting` (sorted) on the host.
template <class Token>
Scan scan(Span<Token> tokens, std::int64_t core, std::int64_t vocab_size, Span<Token> cutting);

}  // namespace probsig::gpu

// How many of the most frequent tokens have their pairs counted by a matrix product.
#pragma once

#include <cstdint>

#include "core/views.hpp"

namespace probsig::gpu {

constexpr std::int64_t kMostHeads = 16384;

// `frequencies`: in how many of the `sets` each id stands, the highest first, on the host; those
// past the kMostHeads-th are not needed. `bytes`: what the heads' matrix may take, and their
// product. 0 if heads do not pay.
std::int64_t choose_heads(Span<std::uint32_t> frequencies, std::int64_t sets, std::int64_t bytes);

}  // namespace probsig::gpu

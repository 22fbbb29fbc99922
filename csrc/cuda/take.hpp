// Elements of an array by their positions.
#pragma once

#include <cstdint>

#include "device.hpp"

namespace probsig::gpu {

// out[i] = from[positions[i]]; for all integers of 8 to 64 bits and double.
template <class T>
void take(const T* from, Span<std::int64_t> positions, T* out);

}  // namespace probsig::gpu

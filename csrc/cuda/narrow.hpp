// Integers of any width as tokens, by the rules of sources/token_dtype.py.
#pragma once

#include <cstdint>

#include "core/views.hpp"

namespace probsig::gpu {

// uint8 to uint16; all others to uint32: signed ones extended (so negative ids are at or above
// 2^31), and what 32 bits cannot hold as a marker. Both lie on the device.
template <class From, class To>
void narrow(Span<From> from, To* to);

}  // namespace probsig::gpu

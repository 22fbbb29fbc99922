#include "take.hpp"

#include "launch.cuh"

namespace probsig::gpu {

template <class T>
void take(const T* from, Span<std::int64_t> positions, T* out) {
  const std::int64_t* where = positions.data;
  for_each("taking elements", positions.size,
           [=] __device__(std::int64_t i) { out[i] = from[where[i]]; });
}

template void take(const std::int8_t*, Span<std::int64_t>, std::int8_t*);
template void take(const std::uint8_t*, Span<std::int64_t>, std::uint8_t*);
template void take(const std::int16_t*, Span<std::int64_t>, std::int16_t*);
template void take(const std::uint16_t*, Span<std::int64_t>, std::uint16_t*);
template void take(const std::int32_t*, Span<std::int64_t>, std::int32_t*);
template void take(const std::uint32_t*, Span<std::int64_t>, std::uint32_t*);
template void take(const std::int64_t*, Span<std::int64_t>, std::int64_t*);
template void take(const std::uint64_t*, Span<std::int64_t>, std::uint64_t*);
template void take(const double*, Span<std::int64_t>, double*);

}  // namespace probsig::gpu

#include "narrow.hpp"

#include <cstdint>
#include <type_traits>

#include "launch.cuh"

namespace probsig::gpu {
namespace {

// Stand for ids that 32 bits cannot hold; token_dtype.py has the same.
constexpr std::uint32_t kOutsideSigned = 1u << 31;
constexpr std::uint32_t kOutsideUnsigned = 0xFFFFFFFFu;

template <class From>
__device__ std::uint32_t narrowed(From id) {
  if constexpr (sizeof(From) <= 4) {
    return static_cast<std::uint32_t>(id);
  } else if constexpr (std::is_signed_v<From>) {
    constexpr From kMost = INT32_MAX;
    return id < -kMost || id > kMost ? kOutsideSigned : static_cast<std::uint32_t>(id);
  } else {
    return id >= kOutsideUnsigned ? kOutsideUnsigned : static_cast<std::uint32_t>(id);
  }
}

}  // namespace

// Bytes moved: those of both types, each once.
template <class From, class To>
void narrow(Span<From> from, To* to) {
  static_assert(sizeof(To) >= sizeof(From) || sizeof(To) == 4, "no id may wrap");
  const From* ids = from.data;
  for_each("narrowing tokens", from.size,
           [=] __device__(std::int64_t i) { to[i] = static_cast<To>(narrowed(ids[i])); });
}

template void narrow(Span<std::uint8_t>, std::uint16_t*);
template void narrow(Span<std::int8_t>, std::uint32_t*);
template void narrow(Span<std::int16_t>, std::uint32_t*);
template void narrow(Span<std::uint16_t>, std::uint32_t*);
template void narrow(Span<std::int32_t>, std::uint32_t*);
template void narrow(Span<std::uint32_t>, std::uint32_t*);
template void narrow(Span<std::int64_t>, std::uint32_t*);
template void narrow(Span<std::uint64_t>, std::uint32_t*);

}  // namespace probsig::gpu

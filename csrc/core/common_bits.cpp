#include "common_bits.hpp"

#include "dispatch.hpp"

#if defined(PROBSIG_X86_VECTORS)
#include <immintrin.h>
#endif

namespace probsig {
namespace {

PROBSIG_MULTIVERSION
void common_bits_plain(const std::uint64_t* row, const std::uint64_t* bits, std::int64_t words,
                       std::int64_t groups, std::uint32_t* counts) {
  for (std::int64_t group = 0; group < groups; ++group) {
    std::uint64_t sums[kLanes] = {};
    for (std::int64_t w = 0; w < words; ++w, bits += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
#if defined(__GNUC__) || defined(__clang__)
        sums[lane] += static_cast<std::uint64_t>(__builtin_popcountll(row[w] & bits[lane]));
#else
        for (std::uint64_t left = row[w] & bits[lane]; left != 0; left &= left - 1) ++sums[lane];
#endif
      }
    }
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      counts[group * kLanes + lane] = static_cast<std::uint32_t>(sums[lane]);
    }
  }
}

#if defined(PROBSIG_X86_VECTORS)
__attribute__((target("avx512f,avx512vpopcntdq"))) void common_bits_avx512(
    const std::uint64_t* row, const std::uint64_t* bits, std::int64_t words, std::int64_t groups,
    std::uint32_t* counts) {
  for (std::int64_t group = 0; group < groups; ++group) {
    __m512i sums = _mm512_setzero_si512();
    for (std::int64_t w = 0; w < words; ++w, bits += kLanes) {
      const __m512i own = _mm512_set1_epi64(static_cast<long long>(row[w]));
      const __m512i common = _mm512_and_si512(own, _mm512_loadu_si512(bits));
      sums = _mm512_add_epi64(sums, _mm512_popcnt_epi64(common));
    }
    alignas(64) std::uint64_t lanes[kLanes];
    _mm512_store_si512(lanes, sums);
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      counts[group * kLanes + lane] = static_cast<std::uint32_t>(lanes[lane]);
    }
  }
}
#endif

}  // namespace

void common_bits(const std::uint64_t* row, const std::uint64_t* bits, std::int64_t words,
                 std::int64_t groups, std::uint32_t* counts) {
#if defined(PROBSIG_X86_VECTORS)
  static const bool has_popcount =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq");
  if (has_popcount) return common_bits_avx512(row, bits, words, groups, counts);
#endif
  common_bits_plain(row, bits, words, groups, counts);
}

}  // namespace probsig

#include "find_ids.hpp"

#include "x86_vectors.hpp"

namespace probsig {
namespace {

// Branch-free: which tokens are in the range is unpredictable.
template <class Token>
std::int64_t find_plain(const Token* tokens, std::int64_t first, std::int64_t last, IdRange range,
                        std::uint32_t* found) {
  std::int64_t k = 0;
  for (std::int64_t i = first; i < last; ++i) {
    found[k] = static_cast<std::uint32_t>(i);
    k += range.holds(tokens[i]);
  }
  return k;
}

#if defined(PROBSIG_X86_VECTORS)
#define PROBSIG_FIND_TARGET __attribute__((target("avx512f,popcnt")))

PROBSIG_FIND_TARGET inline __m512i load_sixteen(const std::uint16_t* tokens) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(tokens)));
}
PROBSIG_FIND_TARGET inline __m512i load_sixteen(const std::uint32_t* tokens) {
  return _mm512_loadu_si512(tokens);
}

template <class Token>
PROBSIG_FIND_TARGET std::int64_t find_avx512(const Token* tokens, std::int64_t first,
                                             std::int64_t last, IdRange range,
                                             std::uint32_t* found) {
  constexpr std::int64_t kWidth = 16;
  static_assert(kWidth <= kFindSlack);
  const __m512i begin = _mm512_set1_epi32(static_cast<int>(range.begin));
  const __m512i size = _mm512_set1_epi32(static_cast<int>(range.end - range.begin));
  const __m512i step = _mm512_set1_epi32(kWidth);
  __m512i places = _mm512_add_epi32(
      _mm512_set1_epi32(static_cast<int>(first)),
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  std::int64_t k = 0, i = first;
  for (; i + kWidth <= last; i += kWidth, places = _mm512_add_epi32(places, step)) {
    const __mmask16 held =
        _mm512_cmplt_epu32_mask(_mm512_sub_epi32(load_sixteen(tokens + i), begin), size);
    _mm512_storeu_si512(found + k, _mm512_maskz_compress_epi32(held, places));
    k += __builtin_popcount(held);
  }
  return k + find_plain(tokens, i, last, range, found + k);
}
#endif

template <class Token>
std::int64_t find(const Token* tokens, std::int64_t first, std::int64_t last, IdRange range,
                  std::uint32_t* found) {
#if defined(PROBSIG_X86_VECTORS)
  static const bool has_vectors = __builtin_cpu_supports("avx512f");
  if (has_vectors) return find_avx512(tokens, first, last, range, found);
#endif
  return find_plain(tokens, first, last, range, found);
}

}  // namespace

std::int64_t find_ids(const std::uint16_t* tokens, std::int64_t first, std::int64_t last,
                      IdRange range, std::uint32_t* found) {
  return find(tokens, first, last, range, found);
}

std::int64_t find_ids(const std::uint32_t* tokens, std::int64_t first, std::int64_t last,
                      IdRange range, std::uint32_t* found) {
  return find(tokens, first, last, range, found);
}

}  // namespace probsig

#include "take_row.hpp"

#include <algorithm>

#include "x86_vectors.hpp"

namespace probsig {
namespace {

// Branch-free: which sums are 0 is unpredictable.
template <class Count, class Value>
std::int64_t take_plain(Count* sums, std::int64_t begin, std::int64_t columns,
                        std::int32_t* indices, Value* data) {
  std::int64_t k = 0;
  for (std::int64_t column = begin; column < columns; ++column) {
    indices[k] = static_cast<std::int32_t>(column);
    data[k] = static_cast<Value>(sums[column]);
    k += sums[column] != 0;
  }
  std::fill(sums + begin, sums + columns, Count{0});
  return k;
}

#if defined(PROBSIG_X86_VECTORS)
#define PROBSIG_AVX512 __attribute__((target("avx512f")))

PROBSIG_AVX512 inline void store_avx512(std::int32_t* data, __m512i values) {
  _mm512_storeu_si512(data, values);
}

PROBSIG_AVX512 inline void store_avx512(std::int64_t* data, __m512i values) {
  _mm512_storeu_si512(data, _mm512_cvtepu32_epi64(_mm512_castsi512_si256(values)));
  _mm512_storeu_si512(data + 8, _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(values, 1)));
}

// Sixteen at a time, moved together in a register.
template <class Value>
PROBSIG_AVX512 std::int64_t take_avx512(std::uint32_t* sums, std::int64_t column,
                                        std::int64_t columns, std::int32_t* indices, Value* data) {
  constexpr std::int64_t kWidth = 16;
  static_assert(kWidth <= kTakeSlack);
  const __m512i step = _mm512_set1_epi32(kWidth);
  __m512i ids = _mm512_add_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
      _mm512_set1_epi32(static_cast<int>(column)));
  std::int64_t k = 0;
  for (; column + kWidth <= columns; column += kWidth, ids = _mm512_add_epi32(ids, step)) {
    const __m512i values = _mm512_loadu_si512(sums + column);
    const __mmask16 kept = _mm512_test_epi32_mask(values, values);
    if (kept == 0) continue;
    _mm512_storeu_si512(sums + column, _mm512_setzero_si512());
    _mm512_storeu_si512(indices + k, _mm512_maskz_compress_epi32(kept, ids));
    store_avx512(data + k, _mm512_maskz_compress_epi32(kept, values));
    k += __builtin_popcount(kept);
  }
  return k + take_plain(sums, column, columns, indices + k, data + k);
}

// Thirty-two at a time.
__attribute__((target("avx512f,avx512bw,avx512vbmi2"))) std::int64_t take_avx512(
    std::uint16_t* sums, std::int64_t column, std::int64_t columns, std::int32_t* indices,
    std::int32_t* data) {
  constexpr std::int64_t kWidth = 32;
  static_assert(kWidth <= kTakeSlack);
  alignas(64) std::uint16_t numbers[kWidth];
  for (std::size_t i = 0; i < kWidth; ++i) numbers[i] = static_cast<std::uint16_t>(i);
  const __m512i rising = _mm512_load_si512(numbers);
  std::int64_t k = 0;
  for (; column + kWidth <= columns; column += kWidth) {
    const __m512i values = _mm512_loadu_si512(sums + column);
    const __mmask32 kept = _mm512_test_epi16_mask(values, values);
    if (kept == 0) continue;
    _mm512_storeu_si512(sums + column, _mm512_setzero_si512());
    const __m512i base = _mm512_set1_epi32(static_cast<int>(column));
    const __m512i dense = _mm512_maskz_compress_epi16(kept, values);
    const __m512i ids = _mm512_maskz_compress_epi16(kept, rising);
    const __m256i low = _mm512_castsi512_si256(ids);
    _mm512_storeu_si512(indices + k, _mm512_add_epi32(_mm512_cvtepu16_epi32(low), base));
    _mm512_storeu_si512(data + k, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(dense)));
    const int size = __builtin_popcount(kept);
    if (size > 16) {
      const __m256i high = _mm512_extracti64x4_epi64(ids, 1);
      _mm512_storeu_si512(indices + k + 16, _mm512_add_epi32(_mm512_cvtepu16_epi32(high), base));
      _mm512_storeu_si512(data + k + 16,
                          _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(dense, 1)));
    }
    k += size;
  }
  return k + take_plain(sums, column, columns, indices + k, data + k);
}
#endif

bool has_compress() {
#if defined(PROBSIG_X86_VECTORS)
  static const bool has = __builtin_cpu_supports("avx512f");
  return has;
#else
  return false;
#endif
}

#if defined(PROBSIG_X86_VECTORS)
bool has_short_compress() {
  static const bool has = has_compress() && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vbmi2");
  return has;
}
#endif

}  // namespace

// On an EPYC of family 26 (AVX-512), from an eighth or a sixteenth of the columns on is as good as
// from half, or a little better; where columns are looked at one by one, it is worth it later.
std::int64_t dense_from(std::int64_t columns) { return has_compress() ? columns / 8 : columns; }

template <class Value>
static std::int64_t take_narrow(std::uint32_t* sums, std::int64_t first, std::int64_t columns,
                                std::int32_t* indices, Value* data) {
#if defined(PROBSIG_X86_VECTORS)
  if (has_compress()) return take_avx512(sums, first, columns, indices, data);
#endif
  return take_plain(sums, first, columns, indices, data);
}

std::int64_t take_row(std::uint32_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int64_t* data) {
  return take_narrow(sums, first, columns, indices, data);
}

std::int64_t take_row(std::uint32_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int32_t* data) {
  return take_narrow(sums, first, columns, indices, data);
}

std::int64_t take_row(std::uint16_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int32_t* data) {
#if defined(PROBSIG_X86_VECTORS)
  if (has_short_compress()) return take_avx512(sums, first, columns, indices, data);
#endif
  return take_plain(sums, first, columns, indices, data);
}

std::int64_t take_row(std::uint64_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int64_t* data) {
  return take_plain(sums, first, columns, indices, data);
}

}  // namespace probsig

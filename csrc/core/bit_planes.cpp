#include "bit_planes.hpp"

#include <algorithm>
#include <array>

#include "x86_vectors.hpp"

namespace probsig {
namespace {

constexpr int kWords = kLineBits / 64;
// Sums are formed of 2^6 lines where there are as many, then of 2^3: the fewer carries, the fewer
// planes are looked at for each.
constexpr int kLong = 6;

int lowest_bit(std::uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
  return __builtin_ctzll(bits);
#else
  int bit = 0;
  while ((bits >> bit & 1) == 0) ++bit;
  return bit;
#endif
}

// ---- Without vectors written by hand ----------------------------------------------------------

// `carry`, of weight 2^plane, goes into the planes from there on.
inline void add_carry(Line carry, Line* planes, int plane, int n_planes) {
  for (; plane < n_planes; ++plane) {
    for (int w = 0; w < kWords; ++w) {
      const std::uint64_t before = planes[plane].words[w];
      planes[plane].words[w] = before ^ carry.words[w];
      carry.words[w] &= before;
    }
  }
}

// Adds 2^K lines to planes[0, K); returns the carry. (A full adder: sum, and majority.)
template <int K, class Number>
inline Line sum_plain(const Line* lines, const Member<Number>* members, Line* planes) {
  if constexpr (K == 0) {
    return lines[members->line];
  } else {
    const Line a = sum_plain<K - 1>(lines, members, planes);
    const Line b = sum_plain<K - 1>(lines, members + (1 << (K - 1)), planes);
    Line carry;
    for (int w = 0; w < kWords; ++w) {
      const std::uint64_t half = a.words[w] ^ b.words[w], before = planes[K - 1].words[w];
      carry.words[w] = (a.words[w] & b.words[w]) | (half & before);
      planes[K - 1].words[w] = half ^ before;
    }
    return carry;
  }
}

template <class Number>
inline void add_plain(const Line* lines, const Member<Number>* members, std::int64_t size,
                      Line* planes, int n_planes) {
  for (std::int64_t k = 0; k < size; k += 1 << kLeastPlanes) {
    const Line carry = sum_plain<kLeastPlanes>(lines, members + k, planes);
    add_carry(carry, planes, kLeastPlanes, n_planes);
  }
}

PROBSIG_MULTIVERSION
void add_lines_plain(const Line* lines, const Member<std::uint16_t>* members, std::int64_t size,
                     Line* planes, int n_planes) {
  add_plain(lines, members, size, planes, n_planes);
}

PROBSIG_MULTIVERSION
void add_lines_plain(const Line* lines, const Member<std::uint32_t>* members, std::int64_t size,
                     Line* planes, int n_planes) {
  add_plain(lines, members, size, planes, n_planes);
}

// Bit i of a byte as the lowest bit of byte i.
constexpr std::array<std::uint64_t, 256> spread_bits() {
  std::array<std::uint64_t, 256> spread{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    for (std::size_t bit = 0; bit < 8; ++bit) {
      spread[byte] |= std::uint64_t{byte >> bit & 1} << (8 * bit);
    }
  }
  return spread;
}
constexpr std::array<std::uint64_t, 256> kSpread = spread_bits();

std::uint64_t lanes_not_zero(const Line* planes, int n_planes, std::int64_t word,
                             std::int64_t first) {
  std::uint64_t some = 0;
  for (int plane = 0; plane < n_planes; ++plane) some |= planes[plane].words[word];
  const std::int64_t below = first - 64 * word;
  return below <= 0 ? some : some & ~std::uint64_t{0} << below;
}

// Eight lanes at a time: a byte of each plane becomes a bit in each of eight bytes.
std::int64_t take_counts_plain(const Line* planes, int n_planes, std::int64_t first,
                               std::uint16_t* lanes, std::uint32_t* counts) {
  std::int64_t k = 0;
  for (std::int64_t word = first / 64; word < kWords; ++word) {
    std::uint64_t left = lanes_not_zero(planes, n_planes, word, first);
    while (left != 0) {
      const int shift = lowest_bit(left) / 8 * 8;
      std::uint64_t bytes[4] = {};
      for (int plane = 0; plane < n_planes; ++plane) {
        bytes[plane / 8] |= kSpread[planes[plane].words[word] >> shift & 255] << plane % 8;
      }
      for (std::uint64_t bits = left >> shift & 255; bits != 0; bits &= bits - 1, ++k) {
        const int lane = lowest_bit(bits);
        std::uint32_t count = 0;
        for (int g = 0; g < 4; ++g) {
          count |= static_cast<std::uint32_t>(bytes[g] >> 8 * lane & 255) << 8 * g;
        }
        lanes[k] = static_cast<std::uint16_t>(64 * word + shift + lane);
        counts[k] = count;
      }
      left &= ~(std::uint64_t{255} << shift);
    }
  }
  return k;
}

// ---- AVX-512 ------------------------------------------------------------------------------------

#if defined(PROBSIG_X86_VECTORS)
#define PROBSIG_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2")))

// Most carries end after a few planes: where a row has few lines, at once.
PROBSIG_AVX512 inline void add_carry_avx512(__m512i carry, Line* planes, int plane, int n_planes) {
  for (; plane < n_planes && _mm512_test_epi64_mask(carry, carry) != 0; ++plane) {
    const __m512i before = _mm512_loadu_si512(planes + plane);
    _mm512_storeu_si512(planes + plane, _mm512_xor_si512(before, carry));
    carry = _mm512_and_si512(before, carry);
  }
}

template <int K, class Number>
PROBSIG_AVX512 __attribute__((always_inline)) inline __m512i sum_avx512(
    const Line* lines, const Member<Number>* members, __m512i* planes) {
  if constexpr (K == 0) {
    return _mm512_loadu_si512(lines + members->line);
  } else {
    constexpr int kXor = 0x96, kMajority = 0xe8;
    const __m512i a = sum_avx512<K - 1>(lines, members, planes);
    const __m512i b = sum_avx512<K - 1>(lines, members + (1 << (K - 1)), planes);
    const __m512i carry = _mm512_ternarylogic_epi64(a, b, planes[K - 1], kMajority);
    planes[K - 1] = _mm512_ternarylogic_epi64(a, b, planes[K - 1], kXor);
    return carry;
  }
}

// Adds 2^K lines; the lowest planes are in registers.
template <int K, int Low, class Number>
PROBSIG_AVX512 inline void add_group_avx512(const Line* lines, const Member<Number>* members,
                                            __m512i (&low)[Low], Line* planes, int n_planes) {
  __m512i carry = sum_avx512<K>(lines, members, low);
  for (int i = K; i < Low; ++i) {
    const __m512i before = low[i];
    low[i] = _mm512_xor_si512(before, carry);
    carry = _mm512_and_si512(before, carry);
  }
  add_carry_avx512(carry, planes, Low, n_planes);
}

template <int Low, class Number>
PROBSIG_AVX512 inline void add_groups_avx512(const Line* lines, const Member<Number>* members,
                                             std::int64_t size, Line* planes, int n_planes) {
  __m512i low[Low];
  for (int i = 0; i < Low; ++i) low[i] = _mm512_loadu_si512(planes + i);
  const Member<Number>* const end = members + size;
  for (; end - members >= 1 << Low; members += 1 << Low) {
    add_group_avx512<Low>(lines, members, low, planes, n_planes);
  }
  for (; members < end; members += 1 << kLeastPlanes) {
    add_group_avx512<kLeastPlanes>(lines, members, low, planes, n_planes);
  }
  for (int i = 0; i < Low; ++i) _mm512_storeu_si512(planes + i, low[i]);
}

template <class Number>
PROBSIG_AVX512 void add_lines_avx512(const Line* lines, const Member<Number>* members,
                                     std::int64_t size, Line* planes, int n_planes) {
  if (n_planes >= kLong) {
    add_groups_avx512<kLong>(lines, members, size, planes, n_planes);
  } else {
    add_groups_avx512<kLeastPlanes>(lines, members, size, planes, n_planes);
  }
}

// 64 lanes of up to eight planes as bytes.
PROBSIG_AVX512 inline __m512i bytes_avx512(const Line* planes, int n_planes, std::int64_t word) {
  __m512i bytes = _mm512_setzero_si512();
  for (int plane = 0; plane < n_planes; ++plane) {
    const __m512i weight = _mm512_set1_epi8(static_cast<char>(1 << plane));
    bytes = _mm512_or_si512(bytes, _mm512_maskz_mov_epi8(planes[plane].words[word], weight));
  }
  return bytes;
}

// Moves the bytes of `kept` together, and writes them as `counts`, or onto them, shifted.
PROBSIG_AVX512 inline void put_counts_avx512(__m512i bytes, std::uint64_t kept, int shift,
                                             std::uint32_t* counts) {
  alignas(64) std::uint8_t dense[64];
  _mm512_store_si512(dense, _mm512_maskz_compress_epi8(kept, bytes));
  const int size = __builtin_popcountll(kept);
  for (int i = 0; i < size; i += 16) {
    const __m128i some = _mm_load_si128(reinterpret_cast<const __m128i*>(dense + i));
    __m512i wide = _mm512_cvtepu8_epi32(some);
    if (shift > 0) {
      wide = _mm512_or_si512(_mm512_sll_epi32(wide, _mm_cvtsi32_si128(shift)),
                             _mm512_loadu_si512(counts + i));
    }
    _mm512_storeu_si512(counts + i, wide);
  }
}

PROBSIG_AVX512 std::int64_t take_counts_avx512(const Line* planes, int n_planes, std::int64_t first,
                                               std::uint16_t* lanes, std::uint32_t* counts) {
  alignas(64) static constexpr std::array<std::uint8_t, 64> kRising = [] {
    std::array<std::uint8_t, 64> rising{};
    for (std::size_t i = 0; i < 64; ++i) rising[i] = static_cast<std::uint8_t>(i);
    return rising;
  }();
  const __m512i rising = _mm512_load_si512(kRising.data());
  std::int64_t k = 0;
  for (std::int64_t word = first / 64; word < kWords; ++word) {
    const std::uint64_t kept = lanes_not_zero(planes, n_planes, word, first);
    if (kept == 0) continue;
    const __m512i dense = _mm512_maskz_compress_epi8(kept, rising);
    const __m512i base = _mm512_set1_epi16(static_cast<short>(64 * word));
    const int size = __builtin_popcountll(kept);
    const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(dense));
    _mm512_storeu_si512(lanes + k, _mm512_add_epi16(low, base));
    if (size > 32) {
      const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(dense, 1));
      _mm512_storeu_si512(lanes + k + 32, _mm512_add_epi16(high, base));
    }
    for (int plane = 0; plane < n_planes; plane += 8) {
      const int some = std::min(n_planes - plane, 8);
      put_counts_avx512(bytes_avx512(planes + plane, some, word), kept, plane, counts + k);
    }
    k += size;
  }
  return k;
}

bool has_byte_compress() {
  static const bool has =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
  return has;
}
#endif

}  // namespace

template <class Number>
void add_lines(const Line* lines, const Member<Number>* members, std::int64_t size, Line* planes,
               int n_planes) {
#if defined(PROBSIG_X86_VECTORS)
  if (has_byte_compress()) return add_lines_avx512(lines, members, size, planes, n_planes);
#endif
  add_lines_plain(lines, members, size, planes, n_planes);
}

template void add_lines(const Line*, const Member<std::uint16_t>*, std::int64_t, Line*, int);
template void add_lines(const Line*, const Member<std::uint32_t>*, std::int64_t, Line*, int);

std::int64_t take_counts(const Line* planes, int n_planes, std::int64_t first, std::uint16_t* lanes,
                         std::uint32_t* counts) {
#if defined(PROBSIG_X86_VECTORS)
  if (has_byte_compress()) return take_counts_avx512(planes, n_planes, first, lanes, counts);
#endif
  return take_counts_plain(planes, n_planes, first, lanes, counts);
}

}  // namespace probsig

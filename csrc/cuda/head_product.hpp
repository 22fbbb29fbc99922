// How many sets hold both of two heads, for all pairs of heads: a product of bit matrices.
#pragma once

#include <cstdint>

namespace probsig::gpu {

// The rows, and the bytes of a row, of a matrix of heads: multiples of 128.
inline std::int64_t padded(std::int64_t size) { return (size + 127) / 128 * 128; }

// C[m, n] += the sets that row m of A and row n of B share, for all n >= m + diagonal; what it adds
// to other entries of C means nothing. A row is `stride` bytes, a multiple of 128: set s is bit
// s % 8 of byte s / 8, and bits behind the last set are 0. A row of C is `ldc` numbers, at least
// rows_b.
//
// `a` and `b` are multiples of 16 and may overlap: where A is the rows of B from the first-th on,
// diagonal = first asks for the upper triangle. The caller keeps every sum below 2^31, which holds
// where all calls for one C see fewer than 2^31 sets.
void head_product(const std::uint8_t* a, std::int64_t rows_a, const std::uint8_t* b,
                  std::int64_t rows_b, std::int64_t stride, std::int32_t* c, std::int64_t ldc,
                  std::int64_t diagonal);

}  // namespace probsig::gpu

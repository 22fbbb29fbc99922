// Tokens in pieces of 16 bytes, whatever element their array begins at.
#pragma once

#include <cstdint>

#include "launch.cuh"

namespace probsig::gpu {

template <class Token>
constexpr int kVector = 16 / static_cast<int>(sizeof(Token));

// How many tokens stand between the 16-byte boundary before an address and the address.
template <class Token>
__host__ __device__ inline int misalignment(const Token* tokens) {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(tokens) / sizeof(Token) %
                          kVector<Token>);
}

// The address is on a 16-byte boundary.
template <class Token>
__device__ inline uint4 load_vector(const Token* tokens) {
  return __ldg(reinterpret_cast<const uint4*>(tokens));
}

// The k-th token of a vector; k is known when the loop around is unrolled.
template <class Token>
__device__ inline std::uint32_t token_of(const uint4& vector, int k) {
  constexpr int kEach = static_cast<int>(4 / sizeof(Token));
  constexpr int kBits = static_cast<int>(8 * sizeof(Token));
  const std::uint32_t parts[4] = {vector.x, vector.y, vector.z, vector.w};
  return static_cast<Token>(parts[k / kEach] >> (k % kEach * kBits));
}

// Calls visit(id, position) for all tokens, each by one thread of the grid; the next vector is on
// its way while one is looked at.
template <class Token, class Visit>
__device__ inline void visit_tokens(const Token* tokens, std::int64_t size, const Visit& visit) {
  const std::int64_t thread = thread_index();
  const std::int64_t threads = thread_count();
  const std::int64_t before = (kVector<Token> - misalignment(tokens)) % kVector<Token>;
  const std::int64_t head = min(size, before);
  const std::int64_t vectors = (size - head) / kVector<Token>;
  const std::int64_t tail = head + vectors * kVector<Token>;
  if (thread < head) visit(tokens[thread], thread);
  if (thread < size - tail) visit(tokens[tail + thread], tail + thread);

  const auto load = [&](std::int64_t v) { return load_vector(tokens + head + v * kVector<Token>); };
  uint4 next = thread < vectors ? load(thread) : uint4{};
  for (std::int64_t v = thread; v < vectors; v += threads) {
    const uint4 vector = next;
    if (v + threads < vectors) next = load(v + threads);
#pragma unroll
    for (int k = 0; k < kVector<Token>; ++k) {
      visit(token_of<Token>(vector, k), head + v * kVector<Token> + k);
    }
  }
}

}  // namespace probsig::gpu

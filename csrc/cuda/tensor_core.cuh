// Tensor cores and asynchronous copies: the only inline PTX, a small function for each instruction.
//
// A fragment is what a warp's lanes hold of a small matrix of bits, in 4-byte words, bit k of a row
// being bit k % 32 of its word k / 32. With g = lane / 4 and t = lane % 4 ("Matrix Fragments for
// mma.m16n8k256" in the PTX manual, whose columns of B are rows here):
//   A, 16 rows of 8 words:   a[0] row g, word t       a[1] row g + 8, word t
//                            a[2] row g, word t + 4   a[3] row g + 8, word t + 4
//   B, 8 rows of 8 words:    b0   row g, word t       b1   row g, word t + 4
//   C, 16 rows of 8 numbers: c[0], c[1] row g, columns 2t and 2t + 1; c[2], c[3] row g + 8
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#ifdef PROBSIG_CUDA_EMULATED
#include "emulator/tensor_core.hpp"

namespace probsig::gpu {

using emulator::add_shared_bits;
using emulator::commit_copies;
using emulator::copy_async;
using emulator::load_matrices;
using emulator::wait_for_copies;

}  // namespace probsig::gpu
#else

namespace probsig::gpu {

__device__ __forceinline__ unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

// Begins to copy 16 bytes into shared memory, past the registers and the first-level cache; both
// addresses are multiples of 16.
__device__ __forceinline__ void copy_async(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(global)
               : "memory");
}

// The thread's copies since the last commit become one group, which may be empty.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits for the thread's own groups but the youngest `kPending`. Other threads see what was copied
// after a barrier.
template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four matrices of 8 rows of 16 bytes from shared memory. Lanes 8q .. 8q + 7 name the rows of the
// q-th; words[q] is then word t of its row g.
__device__ __forceinline__ void load_matrices(unsigned (&words)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(shared_address(row))
               : "memory");
}

// c[m, n] += the bits that row m of A and row n of B share.
__device__ __forceinline__ void add_shared_bits(int (&c)[4], const unsigned (&a)[4], unsigned b0,
                                                unsigned b1) {
  asm("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace probsig::gpu
#endif

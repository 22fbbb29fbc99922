// Kernels whose results do not depend on the order of the threads.
#pragma once

#include <algorithm>
#include <array>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

// ---- blocks -------------------------------------------------------------------------------
__global__ inline void add_up(const int* values, int size, unsigned long long* total) {
  __shared__ int parts[32];
  int sum = 0;
  const unsigned stride = gridDim.x * blockDim.x;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(size);
       i += stride) {
    sum += values[i];
  }
  for (unsigned by = 16; by > 0; by /= 2) sum += __shfl_down_sync(kAll, sum, by);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0;
  sum = __reduce_add_sync(kAll, sum);
  if (threadIdx.x == 0) atomicAdd(total, static_cast<unsigned long long>(sum));
}

inline void check_sums() {
  std::vector<int> values(5000);
  std::iota(values.begin(), values.end(), 1);
  const Array<int> device(values);
  for (const unsigned threads : {32u, 96u, 1024u}) {
    const Array<unsigned long long> total(std::vector<unsigned long long>{0});
    CHECK(launch(5, threads, 0, add_up, device.data(), 5000, total.data()) == cudaSuccess);
    CHECK(total.host()[0] == 5000ull * 5001 / 2);
  }
}

__global__ inline void reverse(const int* in, int* out) {
  int* const shared = static_cast<int*>(emulator::dynamic_shared_memory());
  const unsigned i = threadIdx.x, n = blockDim.x;
  const int before = shared[i];
  shared[i] = in[i];
  __syncthreads();
  out[i] = before == static_cast<int>(0xA5A5A5A5) ? shared[n - 1 - i] : -1;
  CHECK(__syncthreads_count(i < 5) == 5);
  CHECK(__syncthreads_or(i == 7) && !__syncthreads_or(0));
  CHECK(__syncthreads_and(1) && !__syncthreads_and(i != 7));
}

inline void check_barriers() {
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), 0);
  const Array<int> in(values), out(1000);
  CHECK(launch(3, 1000, 4000, reverse, in.data(), out.data()) == cudaSuccess);
  std::reverse(values.begin(), values.end());
  CHECK(out.host() == values);
}

__global__ inline void mark(unsigned char* seen) {
  const unsigned thread =
      threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  ++seen[block * blockDim.x * blockDim.y * blockDim.z + thread];
}

inline void check_indices() {
  const Array<unsigned char> seen(std::vector<unsigned char>(2 * 3 * 4 * 5 * 6 * 7, 0));
  CHECK(launch(dim3(2, 3, 4), dim3(5, 6, 7), 0, mark, seen.data()) == cudaSuccess);
  for (const unsigned char times : seen.host()) CHECK(times == 1);
}

// ---- warps --------------------------------------------------------------------------------
__global__ inline void warp_functions(int* lanes_ok) {
  const unsigned lane = threadIdx.x % 32;
  const int own = static_cast<int>(lane * 10);
  bool ok = __shfl_sync(kAll, own, 3) == 30;
  ok = ok && __shfl_sync(kAll, own, 1, 8) == static_cast<int>(lane / 8 * 80 + 10);
  ok = ok && __shfl_up_sync(kAll, own, 2) == (lane < 2 ? own : own - 20);
  ok = ok && __shfl_down_sync(kAll, own, 2, 16) == (lane % 16 >= 14 ? own : own + 20);
  ok = ok && __shfl_xor_sync(kAll, 1.5 * lane, 5) == 1.5 * (lane ^ 5u);
  ok = ok && __ballot_sync(kAll, lane % 3 == 0) == 0x49249249u;
  ok = ok && __any_sync(kAll, lane == 9) && !__any_sync(kAll, 0);
  ok = ok && __all_sync(kAll, 1) && !__all_sync(kAll, lane != 9);
  ok = ok && __match_any_sync(kAll, lane % 16) == 0x10001u << lane % 16;
  ok = ok && __reduce_max_sync(kAll, lane) == 31 && __reduce_min_sync(kAll, -own) == -310;
  ok = ok && __reduce_or_sync(kAll, 1u << lane) == kAll;
  ok = ok && __activemask() == 1u << lane;
  const auto all = emulator::warp_exchange("exchange", std::make_pair(lane, own));
  for (unsigned i = 0; i < 32; ++i) {
    ok = ok && all[i] == std::make_pair(i, static_cast<int>(i * 10));
  }
  unsigned record = lane;
  emulator::warp_together("sum", record, [](const std::array<unsigned*, 32>& lanes, unsigned) {
    unsigned sum = 0;
    for (const unsigned* one : lanes) sum += *one;
    for (unsigned* one : lanes) *one += sum;
  });
  lanes_ok[threadIdx.x] = ok && record == lane + 496;
}

// Each half of a warp on its own way, and with its own number of rounds.
__global__ inline void diverge(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  unsigned sum = lane;
  if (lane < 16) {
    for (int i = 0; i < 4; ++i) sum += __shfl_xor_sync(0x0000FFFFu, sum, 1 << i);
  } else {
    for (int i = 0; i < 3; ++i) sum += __shfl_xor_sync(0xFFFF0000u, sum, 1 << i, 8);
    __syncwarp(0xFFFF0000u);
  }
  __syncwarp();
  out[threadIdx.x] = sum;
}

inline void check_warps() {
  const Array<int> ok(128);
  CHECK(launch(1, 128, 0, warp_functions, ok.data()) == cudaSuccess);
  for (const int lane : ok.host()) CHECK(lane == 1);
  const Array<unsigned> sums(64);
  CHECK(launch(1, 64, 0, diverge, sums.data()) == cudaSuccess);
  const std::vector<unsigned> host = sums.host();
  for (unsigned i = 0; i < 64; ++i) {
    CHECK(host[i] == (i % 32 < 16 ? 120u : i % 32 < 24 ? 156u : 220u));
  }
}

// ---- atomics ------------------------------------------------------------------------------
__global__ inline void count(int* sum, unsigned* most, unsigned long long* bits, double* real,
                             int* next) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(sum, 1);
  atomicMax(most, i);
  atomicOr(bits, 1ull << i % 64);
  atomicAdd(real, 0.5);
  int seen = *next;
  for (int before = -1; before != seen;) {
    before = seen;
    seen = atomicCAS(next, before, before + 2);
  }
}

inline void check_atomics() {
  const Array<int> sum(std::vector<int>{0}), next(std::vector<int>{0});
  const Array<unsigned> most(std::vector<unsigned>{0});
  const Array<unsigned long long> bits(std::vector<unsigned long long>{0});
  const Array<double> real(std::vector<double>{0});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      CHECK(launch(50, 100, 0, count, sum.data(), most.data(), bits.data(), real.data(),
                   next.data()) == cudaSuccess);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum.host()[0] == 20000 && most.host()[0] == 4999 && bits.host()[0] == ~0ull);
  CHECK(real.host()[0] == 10000 && next.host()[0] == 40000);
}

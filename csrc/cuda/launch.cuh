// Launching kernels, each launch checked. Sources use this and no <<<>>>, and only the runtime
// functions, intrinsics and CUB algorithms that tests/cuda_emulator knows: all of it also compiles
// for the host, where the tests run it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "device.hpp"

namespace probsig::gpu {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

struct Grid {
  std::int64_t blocks;
  int threads;
  std::size_t shared_bytes = 0;
};

template <class... Params, class... Args>
void launch(const char* name, Grid grid, void (*kernel)(Params...), Args&&... args) {
  if (grid.blocks == 0) return;
  if (grid.shared_bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.shared_bytes)),
          name);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.blocks));
  config.blockDim = dim3(static_cast<unsigned>(grid.threads));
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = stream();
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...), name);
}

__device__ inline std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t thread_count() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

template <class Body>
__global__ void each_kernel(std::int64_t size, Body body) {
  for (std::int64_t i = thread_index(); i < size; i += thread_count()) body(i);
}

// body(i) for all i in [0, size), in no order; `body` is a lambda marked __device__.
template <class Body>
void for_each(const char* name, std::int64_t size, Body body) {
  constexpr int kThreads = 256;
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 20;
  const std::int64_t blocks = std::min((size + kThreads - 1) / kThreads, kMostBlocks);
  launch(name, {blocks, kThreads}, each_kernel<Body>, size, body);
}

// A block's dynamic shared memory.
#ifdef PROBSIG_CUDA_EMULATED
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulator::dynamic_shared_memory());
}
#else
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char memory[];
  return reinterpret_cast<T*>(memory);
}
#endif

}  // namespace probsig::gpu

// Kernels with faults that the emulator finds, each in a process of its own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support.hpp"

// Thread 0 waits for the block, which waits for it in its warp.
__global__ inline void deadlock() {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}
__global__ inline void two_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ inline void own_lane_left_out() { __ballot_sync(0x0000FFFFu, 1); }
__global__ inline void whole_warp() { __syncwarp(); }
__global__ inline void lane_ended() {
  if (threadIdx.x % 32 != 3) __syncwarp();
}
__global__ inline void different_calls() {
  if (threadIdx.x % 2 == 0) {
    __ballot_sync(kAll, 1);
  } else {
    __any_sync(kAll, 1);
  }
}
__global__ inline void different_widths() {
  __shfl_sync(kAll, 1, 0, threadIdx.x % 2 == 0 ? 8 : 16);
}
__global__ inline void shuffle_from_outside() {
  if (threadIdx.x < 16) __shfl_sync(0x0000FFFFu, 1, 20);
}
__global__ inline void write_to(int* to) { *to = 1; }

inline void sort_host_memory() {
  std::vector<unsigned> keys(5), sorted(5);
  std::size_t bytes = 256;
  unsigned char work[256];
  cub::DeviceRadixSort::SortKeys(work, bytes, keys.data(), sorted.data(), 5);
}
inline void touch_device_memory() {
  setenv("PROBSIG_EMULATOR_PROTECT", "1", 1);
  const Array<int> array(1);
  launch(1, 1, 0, write_to, array.data());
  if (array.host()[0] != 1) std::exit(1);
  std::printf("%d\n", *array.data());
}

// Turns an array round through shared memory, with the barrier that it takes or without: then a
// thread may read what the other did not write yet.
__global__ inline void turn_round(bool barrier, int* out) {
  __shared__ int shared[64];
  const int i = static_cast<int>(threadIdx.x);
  shared[i] = -1;
  __syncthreads();
  shared[i] = i;
  if (barrier) __syncthreads();
  out[i] = shared[63 - i];
}
inline void print_turned(bool barrier) {
  const Array<int> out(64);
  CHECK(launch(1, 64, 0, turn_round, barrier, out.data()) == cudaSuccess);
  for (const int value : out.host()) std::printf("%d ", value);
}

inline bool run_fault(const std::string& name) {
  int on_host = 0;
  const auto run = [](auto* kernel) { return [=] { launch(1, 64, 0, kernel); }; };
  const std::map<std::string, std::function<void()>> faults{
      {"deadlock", run(deadlock)},
      {"two_barriers", run(two_barriers)},
      {"own_lane_left_out", run(own_lane_left_out)},
      {"lane_ended", run(lane_ended)},
      {"different_calls", run(different_calls)},
      {"different_widths", run(different_widths)},
      {"shuffle_from_outside", run(shuffle_from_outside)},
      {"partial_warp", [] { launch(1, 40, 0, whole_warp); }},
      {"host_pointer", [&] { launch(1, 1, 0, write_to, &on_host); }},
      {"sort_host_memory", sort_host_memory},
      {"touch_device_memory", touch_device_memory},
      {"barrier_missing", [] { print_turned(false); }},
      {"barrier_there", [] { print_turned(true); }},
  };
  const auto found = faults.find(name);
  if (found != faults.end()) found->second();
  return found != faults.end();
}

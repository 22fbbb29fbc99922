// Memory, errors, devices and events.
#pragma once

#include <cstdlib>
#include <cstring>
#include <vector>

#include "support.hpp"

inline void check_memory() {
  const Array<unsigned> fresh(10);
  CHECK(fresh.host()[9] == 0xA5A5A5A5u);
  CHECK(cudaMemset(fresh.data(), 0, 40) == cudaSuccess && fresh.host()[9] == 0);
  CHECK(cudaMemset(fresh.data(), 0, 41) == cudaErrorInvalidValue);
  unsigned plain[11] = {};
  CHECK(cudaMemcpy(plain, fresh.data(), 44, cudaMemcpyDefault) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(plain, fresh.data(), 40, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(plain, fresh.data(), 40, cudaMemcpyDeviceToHost) == cudaSuccess);

  void* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 100) == cudaSuccess);
  cudaPointerAttributes attributes{};
  const auto type = [&](const void* pointer) {
    CHECK(cudaPointerGetAttributes(&attributes, pointer) == cudaSuccess);
    return attributes.type;
  };
  CHECK(type(plain) == cudaMemoryTypeUnregistered && type(pinned) == cudaMemoryTypeHost);
  CHECK(type(fresh.data() + 9) == cudaMemoryTypeDevice);
  CHECK(type(fresh.data() + 10) != cudaMemoryTypeDevice);
  CHECK(cudaFree(pinned) == cudaErrorInvalidValue && cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);

  setenv("PROBSIG_EMULATOR_MEMORY", "1000", 1);
  std::size_t free_bytes = 0, total = 0;
  CHECK(cudaMemGetInfo(&free_bytes, &total) == cudaSuccess && total == 1000 && free_bytes == 960);
  void* more = nullptr;
  CHECK(cudaMalloc(&more, 961) == cudaErrorMemoryAllocation && more == nullptr);
  CHECK(cudaMalloc(&more, 960) == cudaSuccess && cudaFree(more) == cudaSuccess);
  unsetenv("PROBSIG_EMULATOR_MEMORY");
}

inline void check_pools() {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  cudaMemPool_t pool = nullptr;
  CHECK(cudaMemPoolCreate(&pool, &properties) == cudaSuccess);
  void* memory = nullptr;
  CHECK(cudaMallocFromPoolAsync(&memory, 8, pool, cudaStreamPerThread) == cudaSuccess);
  CHECK(cudaFreeAsync(memory, cudaStreamPerThread) == cudaSuccess);
  CHECK(cudaFreeAsync(memory, cudaStreamPerThread) == cudaErrorInvalidValue);
  CHECK(cudaMemPoolTrimTo(pool, 0) == cudaSuccess && cudaMemPoolDestroy(pool) == cudaSuccess);
}

inline void check_devices() {
  int value = -1;
  CHECK(cudaGetDeviceCount(&value) == cudaSuccess && value == 1);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  CHECK(cudaGetDevice(&value) == cudaSuccess && value == 0);
  cudaDeviceProp properties{};
  CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess && properties.major == 9);
  CHECK(std::strcmp(properties.name, "emulated device") == 0);
  CHECK(std::strcmp(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice") == 0);
  setenv("PROBSIG_EMULATOR_DEVICES", "0", 1);
  CHECK(cudaGetDeviceCount(&value) == cudaErrorNoDevice && value == 0);
  setenv("PROBSIG_EMULATOR_DEVICES", "-1", 1);
  CHECK(cudaGetDeviceCount(&value) == cudaErrorInsufficientDriver);
  CHECK(cudaDriverGetVersion(&value) == cudaSuccess && value == 0);
  unsetenv("PROBSIG_EMULATOR_DEVICES");
}

inline void check_events() {
  cudaEvent_t begin = nullptr, end = nullptr;
  CHECK(cudaEventCreate(&begin) == cudaSuccess && cudaEventCreate(&end) == cudaSuccess);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, begin, end) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(begin) == cudaSuccess && cudaEventRecord(end) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, begin, end) == cudaSuccess && milliseconds >= 0);
  CHECK(cudaEventDestroy(begin) == cudaSuccess && cudaEventDestroy(end) == cudaSuccess);
}

__global__ inline void nothing() {}

inline void check_launches() {
  CHECK(launch(1, 0, 0, nothing) == cudaErrorInvalidConfiguration);
  CHECK(launch(1, 1025, 0, nothing) == cudaErrorInvalidConfiguration);
  CHECK(launch(0, 32, 0, nothing) == cudaErrorInvalidConfiguration);
  CHECK(launch(dim3(1, 65536), 32, 0, nothing) == cudaErrorInvalidConfiguration);
  constexpr int kShared = 99 << 10;
  CHECK(launch(1, 32, 48 << 10, nothing) == cudaSuccess);
  CHECK(launch(1, 32, kShared, nothing) == cudaErrorInvalidValue);
  constexpr auto kAttribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  CHECK(cudaFuncSetAttribute(nothing, kAttribute, kShared + 1) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(nothing, kAttribute, kShared) == cudaSuccess);
  CHECK(launch(1, 32, kShared, nothing) == cudaSuccess);
}

inline void check_runtime() {
  check_memory();
  check_pools();
  check_devices();
  check_events();
  check_launches();
}

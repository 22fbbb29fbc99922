// Launching kernels.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "emulator/arguments.hpp"
#include "emulator/devices.hpp"
#include "emulator/multiprocessor.hpp"

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9,
};
struct cudaLaunchAttribute;
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned int numAttrs;
};

namespace emulator {

// Dynamic shared memory that kernels were allowed.
class SharedLimits {
 public:
  static SharedLimits& all() {
    static SharedLimits limits;
    return limits;
  }
  void set(const void* kernel, int bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    limits_[kernel] = bytes;
  }
  int of(const void* kernel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = limits_.find(kernel);
    return found == limits_.end() ? kSharedBytes : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<const void*, int> limits_;
};

inline cudaError_t launch_error(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 grid = config.gridDim, block = config.blockDim;
  const auto product = [](dim3 size) { return std::uint64_t{size.x} * size.y * size.z; };
  if (device_error(0) != cudaSuccess) return device_error(0);
  if (product(grid) == 0 || product(block) == 0 || product(block) > kMostThreads || block.z > 64 ||
      grid.x > 0x7FFFFFFFu || grid.y > 0xFFFFu || grid.z > 0xFFFFu) {
    return cudaErrorInvalidConfiguration;
  }
  if (config.dynamicSmemBytes > static_cast<std::size_t>(kSharedBytes) &&
      config.dynamicSmemBytes > static_cast<std::size_t>(SharedLimits::all().of(kernel))) {
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

}  // namespace emulator

inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute,
                                        int value) {
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || value > emulator::kMostSharedBytes) {
      return emulator::result(cudaErrorInvalidValue);
    }
    emulator::SharedLimits::all().set(kernel, value);
  }
  return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int threads,
                                                          size_t) {
  *blocks = threads > 0 ? 2048 / threads : 0;
  return emulator::result(threads > 0 && threads <= 1024, cudaErrorInvalidValue);
}

// Each thread gets copies of the arguments, as on the device.
template <class... Params, class... Args>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Params...),
                               Args&&... args) {
  static_assert((0 + ... + sizeof(Params)) <= 4096, "a kernel takes 4096 bytes of arguments");
  const cudaError_t error =
      emulator::launch_error(*config, reinterpret_cast<const void*>(kernel));
  if (error != cudaSuccess) return emulator::result(error);
  const char* name = __PRETTY_FUNCTION__;
  const auto run = [&](Params... values) {
    (emulator::check_argument(values, name), ...);
    const emulator::Memory::Access access;
    auto thread = [&] { kernel(values...); };
    emulator::Multiprocessor::here().run(
        config->gridDim, config->blockDim, config->dynamicSmemBytes,
        [](void* context) { (*static_cast<decltype(thread)*>(context))(); }, &thread);
  };
  run(std::forward<Args>(args)...);
  return cudaSuccess;
}

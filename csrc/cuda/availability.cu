#include "availability.hpp"

#include "launch.cuh"

namespace probsig::gpu {

std::string fault(int device) {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    cudaGetLastError();
    // The driver's absence and its age are one error to the runtime.
    if (status == cudaErrorInsufficientDriver) {
      return "no CUDA driver was found, or one older than CUDA " +
             std::to_string(CUDART_VERSION / 1000) + "." +
             std::to_string(CUDART_VERSION % 1000 / 10) + " needs";
    }
    return std::string("no CUDA device: ") + cudaGetErrorString(status);
  }
  if (device < 0 || device >= devices) {
    return "no CUDA device " + std::to_string(device) + ": there are " + std::to_string(devices);
  }
  try {
    const DeviceGuard guard(device);
    DeviceArray<int> ones(1);
    int* one = ones.data();
    for_each("trying a kernel", 1, [=] __device__(std::int64_t i) { one[i] = 1; });
    if (ones.at(0) != 1) return "a kernel ran without effect";
  } catch (const std::exception& error) {  // no code for this architecture, no memory
    return error.what();
  }
  return "";
}

DeviceInfo device_info(int device) {
  const DeviceGuard guard(device);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for the device's properties");
  DeviceInfo info{properties.name, properties.major, properties.minor, 0, 0};
  check(cudaMemGetInfo(&info.free_memory, &info.total_memory), "asking for free memory");
  return info;
}

}  // namespace probsig::gpu

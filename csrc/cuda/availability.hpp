// Whether kernels can run here, and on what.
#pragma once

#include <cstddef>
#include <string>

namespace probsig::gpu {

// Why no kernel can run on the device; empty if one can. Does not throw.
std::string fault(int device);

struct DeviceInfo {
  std::string name;
  int major, minor;  // compute capability
  std::size_t total_memory, free_memory;
};
DeviceInfo device_info(int device);

}  // namespace probsig::gpu

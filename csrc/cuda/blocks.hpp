// A block of counts on the device.
#pragma once

#include <cstdint>

#include "device.hpp"

namespace probsig::gpu {

// CSR: indices sorted within a row, none twice, no zeros.
struct DeviceBlock {
  DeviceArray<std::int64_t> indptr;
  DeviceArray<std::int32_t> indices;
  DeviceArray<std::int64_t> data;
};

}  // namespace probsig::gpu

// The part of DLPack's binary interface (dlpack.h, versions before 1.0) that taking a tensor needs.
#pragma once

#include <cstdint>

namespace probsig::dlpack {

constexpr std::int32_t kCpu = 1, kCuda = 2;
constexpr std::uint8_t kInt = 0, kUint = 1;

struct Device {
  std::int32_t type;
  std::int32_t id;
};

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // null: contiguous, in C order
  std::uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* manager;
  void (*deleter)(ManagedTensor*);
};

}  // namespace probsig::dlpack

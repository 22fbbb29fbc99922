// Compiled before the kernels: whether CUB has what they need. DeviceMerge came with CUDA 12.8.
#include <cub/device/device_merge.cuh>
#include <cub/device/device_radix_sort.cuh>

#include <cstddef>
#include <cstdint>

namespace {

struct Less {
  __host__ __device__ bool operator()(std::uint64_t a, std::uint64_t b) const { return a < b; }
};

}  // namespace

cudaError_t probe(std::uint64_t* keys, std::uint32_t* values, std::int64_t size) {
  std::size_t bytes = 0;
  cub::DoubleBuffer<std::uint64_t> buffer(keys, keys + size);
  const cudaError_t status = cub::DeviceRadixSort::SortKeys(nullptr, bytes, buffer, size, 0, 40);
  if (status != cudaSuccess) return status;
  return cub::DeviceMerge::MergePairs(nullptr, bytes, keys, values, size, keys + size, values + size,
                                      size, keys, values, Less{});
}

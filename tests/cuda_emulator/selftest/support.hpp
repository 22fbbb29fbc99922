// Checks, launches and arrays.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
      std::exit(1);                                                         \
    }                                                                       \
  } while (false)

constexpr unsigned kAll = 0xFFFFFFFFu;

template <class... Params, class... Args>
cudaError_t launch(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Params...),
                   Args... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = cudaStreamPerThread;
  return cudaLaunchKernelEx(&config, kernel, args...);
}

// An array on the device.
template <class T>
class Array {
 public:
  explicit Array(std::size_t size) : size_(size) {
    void* memory = nullptr;
    CHECK(cudaMalloc(&memory, size * sizeof(T)) == cudaSuccess);
    data_ = static_cast<T*>(memory);
  }
  explicit Array(const std::vector<T>& host) : Array(host.size()) {
    CHECK(cudaMemcpy(data_, host.data(), size_ * sizeof(T), cudaMemcpyDefault) == cudaSuccess);
  }
  ~Array() { CHECK(cudaFree(data_) == cudaSuccess); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> values(size_);
    CHECK(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDefault) == cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

// The device: errors, memory within a budget, one stream a thread, and copies to and from the host.
//
// Every function that the bindings call works on the stream of its own thread and waits for it
// before it returns. So whatever one thread returns another may use, and copies, kernels and the
// host's work of several threads overlap without an event.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/views.hpp"

namespace probsig::gpu {

class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class DeviceMemoryError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

// Throws what a call of the runtime returned; `what` says what was tried.
void check(cudaError_t status, const char* what);

// This thread's stream.
inline cudaStream_t stream() { return cudaStreamPerThread; }

// Waits for all that this thread asked of the device; throws what went wrong there.
void synchronize();

int current_device();

// Sets the thread's device, and sets it back.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int before_;
};

// What kernels are fitted to.
struct DeviceLimits {
  int multiprocessors = 0;
  std::size_t shared_memory = 0;  // bytes that a block may ask for
};
DeviceLimits device_limits();

// Bytes that this package may hold on a device at a time, and those it holds.
void set_memory_budget(int device, std::int64_t bytes);
std::int64_t memory_budget(int device);
std::int64_t memory_in_use(int device);
// Gives memory that was freed back to the device.
void release_memory(int device);

// Uninitialised memory of the current device, counted against its budget.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes);  // throws DeviceMemoryError
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory(std::move(other)).swap(*this);
    return *this;
  }
  ~DeviceMemory();

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  int device() const { return device_; }
  void swap(DeviceMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  int device_ = 0;
};

// As this thread's stream comes to it. Host memory may be pageable: it goes through pinned buffers.
void copy_to_device(void* device, const void* host, std::size_t bytes);
void copy_to_host(void* host, const void* device, std::size_t bytes);  // waits
void fill(void* device, int byte, std::size_t bytes);

// An array on the device.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::int64_t size)
      : memory_(static_cast<std::size_t>(size) * sizeof(T)), size_(size) {}
  static DeviceArray zeros(std::int64_t size) {
    DeviceArray array(size);
    fill(array.data(), 0, static_cast<std::size_t>(size) * sizeof(T));
    return array;
  }
  static DeviceArray from_host(const T* host, std::int64_t size) {
    DeviceArray array(size);
    copy_to_device(array.data(), host, static_cast<std::size_t>(size) * sizeof(T));
    return array;
  }
  static DeviceArray from_host(Span<T> host) { return from_host(host.data, host.size); }

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }
  std::int64_t size() const { return size_; }
  Span<T> span() const { return {data(), size_}; }
  // Only the first elements count from now on; their memory stays.
  void truncate(std::int64_t size) { size_ = size; }
  void to_host(T* host) const {
    copy_to_host(host, data(), static_cast<std::size_t>(size_) * sizeof(T));
  }
  T at(std::int64_t i) const {  // waits
    T value;
    copy_to_host(&value, data() + i, sizeof(T));
    return value;
  }
  void swap(DeviceArray& other) noexcept {
    memory_.swap(other.memory_);
    std::swap(size_, other.size_);
  }
  // The memory, for an owner that knows no type.
  DeviceMemory release() && {
    size_ = 0;
    return std::move(memory_);
  }

 private:
  DeviceMemory memory_;
  std::int64_t size_ = 0;
};

}  // namespace probsig::gpu

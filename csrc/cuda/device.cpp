#include "device.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

namespace probsig::gpu {
namespace {

constexpr int kMostDevices = 64;

struct Account {
  std::atomic<std::int64_t> budget{INT64_MAX};
  std::atomic<std::int64_t> in_use{0};
  std::once_flag made;
  cudaMemPool_t pool = nullptr;
};

Account& account(int device) {
  static std::array<Account, kMostDevices> accounts;
  if (device < 0 || device >= kMostDevices) {
    throw DeviceError("device: expected a number below 64, got " + std::to_string(device));
  }
  return accounts[static_cast<std::size_t>(device)];
}

// A pool of our own, so that memory which waits for the next chunk is given back by our own rules
// and nobody else's. Made once a device, and never destroyed: at exit the driver may be gone.
cudaMemPool_t pool_of(int device) {
  Account& own = account(device);
  std::call_once(own.made, [&] {
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    check(cudaMemPoolCreate(&own.pool, &properties), "making a memory pool");
    std::uint64_t keep_all = UINT64_MAX;
    check(cudaMemPoolSetAttribute(own.pool, cudaMemPoolAttrReleaseThreshold, &keep_all),
          "setting up the memory pool");
  });
  return own.pool;
}

std::string megabytes(std::int64_t bytes) { return std::to_string(bytes / 1000000) + " MB"; }

[[noreturn]] void throw_no_memory(int device, std::size_t bytes, const char* why) {
  const Account& own = account(device);
  throw DeviceMemoryError("device memory: asked for " +
                          megabytes(static_cast<std::int64_t>(bytes)) + " more on device " +
                          std::to_string(device) + " beside " + megabytes(own.in_use) +
                          " in use: " + why);
}

constexpr std::size_t kPinnedBytes = std::size_t{4} << 20;
// Copies to the host from so many bytes on are shared among so many threads.
constexpr std::size_t kParallelBytes = std::size_t{32} << 20, kCopyThreads = 4;

// Two pinned buffers: one is filled while the other is copied.
struct Staging {
  std::array<void*, 2> buffers{};
  std::array<cudaEvent_t, 2> copied{};

  Staging() {
    for (std::size_t i = 0; i < 2; ++i) {
      check(cudaMallocHost(&buffers[i], kPinnedBytes), "allocating pinned host memory");
      check(cudaEventCreateWithFlags(&copied[i], cudaEventDisableTiming), "making an event");
    }
  }
  // Only after an error, when the device may still read or write.
  ~Staging() {
    for (std::size_t i = 0; i < 2; ++i) {
      if (copied[i] != nullptr) {
        cudaEventSynchronize(copied[i]);
        cudaEventDestroy(copied[i]);
      }
      if (buffers[i] != nullptr) cudaFreeHost(buffers[i]);
    }
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
};

// Pinning memory is slow, so buffers are kept for the next copy; events belong to one device.
class StagingPool {
 public:
  std::unique_ptr<Staging> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Staging>();
    auto staging = std::move(free_.back());
    free_.pop_back();
    return staging;
  }
  void put(std::unique_ptr<Staging> staging) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(staging));
  }
  static StagingPool& of(int device) {
    static auto* pools = new std::array<StagingPool, kMostDevices>;  // outlives every thread
    return (*pools)[static_cast<std::size_t>(device)];
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Staging>> free_;
};

bool is_pinned(const void* host) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, host) != cudaSuccess) {
    cudaGetLastError();  // an old driver's answer for plain memory
    return false;
  }
  return attributes.type == cudaMemoryTypeHost;
}

// Pieces through the two buffers in turn; `step(piece, buffer, size)` fills or empties one.
template <class Before, class After>
void staged(std::size_t bytes, const Before& before, const After& after) {
  const int device = current_device();
  auto staging = StagingPool::of(device).take();
  const std::size_t pieces = (bytes + kPinnedBytes - 1) / kPinnedBytes;
  const auto size = [&](std::size_t piece) {
    return std::min(kPinnedBytes, bytes - piece * kPinnedBytes);
  };
  const auto finish = [&](std::size_t piece) {
    check(cudaEventSynchronize(staging->copied[piece % 2]), "waiting for a copy");
    after(piece * kPinnedBytes, staging->buffers[piece % 2], size(piece));
  };
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    if (piece >= 2) finish(piece - 2);
    before(piece * kPinnedBytes, staging->buffers[piece % 2], size(piece));
    check(cudaEventRecord(staging->copied[piece % 2], stream()), "recording an event");
  }
  for (std::size_t piece = pieces < 2 ? 0 : pieces - 2; piece < pieces; ++piece) finish(piece);
  StagingPool::of(device).put(std::move(staging));
}

void copy_async(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream()), "copying");
}

// Into pageable memory; waits.
void copy_staged(void* host, const void* device, std::size_t bytes) {
  staged(
      bytes,
      [&](std::size_t begin, void* buffer, std::size_t size) {
        copy_async(buffer, static_cast<const char*>(device) + begin, size);
      },
      [&](std::size_t begin, void* buffer, std::size_t size) {
        std::memcpy(static_cast<char*>(host) + begin, buffer, size);
      });
}

}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not meet this error again
  const std::string text = std::string(what) + ": " + cudaGetErrorString(status) + " (" +
                           cudaGetErrorName(status) + ")";
  if (status == cudaErrorMemoryAllocation) throw DeviceMemoryError("device memory: " + text);
  throw DeviceError(text);
}

void synchronize() { check(cudaStreamSynchronize(stream()), "waiting for the device"); }

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  return device;
}

DeviceGuard::DeviceGuard(int device) : before_(current_device()) {
  if (device != before_) check(cudaSetDevice(device), "choosing a device");
}
DeviceGuard::~DeviceGuard() { cudaSetDevice(before_); }

DeviceLimits device_limits() {
  const int device = current_device();
  DeviceLimits limits;
  int shared = 0;
  check(cudaDeviceGetAttribute(&limits.multiprocessors, cudaDevAttrMultiProcessorCount, device),
        "asking for the multiprocessors");
  check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "asking for the shared memory");
  limits.shared_memory = static_cast<std::size_t>(shared);
  return limits;
}

void set_memory_budget(int device, std::int64_t bytes) { account(device).budget = bytes; }
std::int64_t memory_budget(int device) { return account(device).budget; }
std::int64_t memory_in_use(int device) { return account(device).in_use; }

void release_memory(int device) {
  const DeviceGuard guard(device);
  check(cudaMemPoolTrimTo(pool_of(device), 0), "giving memory back");
}

DeviceMemory::DeviceMemory(std::size_t bytes) {
  if (bytes == 0) return;
  const int device = current_device();
  Account& own = account(device);
  const auto more = static_cast<std::int64_t>(bytes);
  if (own.in_use.fetch_add(more) + more > own.budget) {
    own.in_use -= more;
    throw_no_memory(device, bytes, ("the budget is " + megabytes(own.budget)).c_str());
  }
  const cudaError_t status = cudaMallocFromPoolAsync(&data_, bytes, pool_of(device), stream());
  if (status != cudaSuccess) {
    own.in_use -= more;
    if (status != cudaErrorMemoryAllocation) check(status, "allocating device memory");
    cudaGetLastError();
    throw_no_memory(device, bytes, "the device has no more; PROBSIG_DEVICE_MEMORY sets a budget");
  }
  bytes_ = bytes;
  device_ = device;
}

DeviceMemory::~DeviceMemory() {
  if (data_ == nullptr) return;
  // At the process's end all of this may fail, and there is nobody to tell.
  int before = device_;
  cudaGetDevice(&before);
  if (before != device_) cudaSetDevice(device_);
  cudaFreeAsync(data_, stream());
  if (before != device_) cudaSetDevice(before);
  account(device_).in_use -= static_cast<std::int64_t>(bytes_);
}

void copy_to_device(void* device, const void* host, std::size_t bytes) {
  if (bytes == 0) return;
  if (is_pinned(host)) return copy_async(device, host, bytes);
  staged(
      bytes,
      [&](std::size_t begin, void* buffer, std::size_t size) {
        std::memcpy(buffer, static_cast<const char*>(host) + begin, size);
        copy_async(static_cast<char*>(device) + begin, buffer, size);
      },
      [](std::size_t, void*, std::size_t) {});
}

void copy_to_host(void* host, const void* device, std::size_t bytes) {
  if (bytes == 0) return;
  if (is_pinned(host)) {
    copy_async(host, device, bytes);
    return synchronize();
  }
  if (bytes < kParallelBytes) return copy_staged(host, device, bytes);
  // New host memory comes by page faults: threads share them.
  synchronize();
  const std::size_t piece = bytes / kCopyThreads + 1;
  std::vector<std::future<void>> copies;
  for (std::size_t begin = 0; begin < bytes; begin += piece) {
    copies.push_back(std::async(std::launch::async, [=, on = current_device()] {
      const DeviceGuard guard(on);
      copy_staged(static_cast<char*>(host) + begin, static_cast<const char*>(device) + begin,
                  std::min(piece, bytes - begin));
    }));
  }
  for (auto& copy : copies) copy.wait();  // all, before a failure lets go of the memory
  for (auto& copy : copies) copy.get();
}

void fill(void* device, int byte, std::size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(device, byte, bytes, stream()), "filling memory");
}

}  // namespace probsig::gpu

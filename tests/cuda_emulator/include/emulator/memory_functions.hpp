// Allocating and copying: functions of the CUDA runtime. Each is done when it returns.
#pragma once

#include <cstring>

#include "emulator/devices.hpp"
#include "emulator/memory.hpp"

namespace emulator {

inline cudaError_t allocate(void** pointer, std::size_t bytes, Memory::Kind kind) {
  if (device_error(0) != cudaSuccess) return result(device_error(0));
  if (pointer == nullptr) return result(cudaErrorInvalidValue);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  *pointer = Memory::all().allocate(bytes, kind, current_device);
  return result(*pointer != nullptr, cudaErrorMemoryAllocation);
}
inline cudaError_t release(void* pointer, Memory::Kind kind) {
  if (pointer == nullptr) return cudaSuccess;
  return result(Memory::all().release(pointer, kind), cudaErrorInvalidValue);
}

}  // namespace emulator

inline cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return emulator::allocate(pointer, bytes, emulator::Memory::Kind::device);
}
inline cudaError_t cudaFree(void* pointer) {
  return emulator::release(pointer, emulator::Memory::Kind::device);
}
inline cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) {
  return cudaMalloc(pointer, bytes);
}
inline cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) {
  // Unlike cudaFree it does not take a null pointer.
  return pointer == nullptr ? emulator::result(cudaErrorInvalidValue) : cudaFree(pointer);
}
inline cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t pool,
                                           cudaStream_t) {
  if (pool == nullptr) return emulator::result(cudaErrorInvalidValue);
  return cudaMalloc(pointer, bytes);
}
inline cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return emulator::allocate(pointer, bytes, emulator::Memory::Kind::pinned);
}
inline cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return cudaMallocHost(pointer, bytes);
}
inline cudaError_t cudaFreeHost(void* pointer) {
  return emulator::release(pointer, emulator::Memory::Kind::pinned);
}
inline cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  if (pointer == nullptr || bytes == 0) return emulator::result(cudaErrorInvalidValue);
  emulator::Memory::all().add_registered(pointer, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaHostUnregister(void* pointer) {
  return emulator::release(pointer, emulator::Memory::Kind::registered);
}
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = emulator::Memory::capacity();
  const std::size_t used = emulator::Memory::all().used();
  *free = used < *total ? *total - used : 0;
  return emulator::result(emulator::device_error(0));
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                            const void* pointer) {
  const emulator::Memory::Piece piece = emulator::Memory::all().find(pointer);
  void* plain = const_cast<void*>(pointer);
  if (piece.bytes == 0) {
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, plain};
  } else if (piece.kind == emulator::Memory::Kind::device) {
    *attributes = {cudaMemoryTypeDevice, piece.device, plain, nullptr};
  } else {
    *attributes = {cudaMemoryTypeHost, piece.device, plain, plain};
  }
  return cudaSuccess;
}

inline cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  if (properties->allocType != cudaMemAllocationTypePinned ||
      properties->location.type != cudaMemLocationTypeDevice) {
    return emulator::result(cudaErrorInvalidValue);
  }
  const cudaError_t error = emulator::device_error(properties->location.id);
  if (error == cudaSuccess) *pool = new CUmemPoolHandle_st{properties->location.id};
  return emulator::result(error);
}
inline cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  delete pool;
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

// The kind must fit what the pointers are, as the device would find out too.
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  auto& memory = emulator::Memory::all();
  const auto on_device = [&](const void* pointer) {
    const auto piece = memory.find(pointer);
    return piece.bytes > 0 && piece.kind == emulator::Memory::Kind::device;
  };
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool fits = kind == cudaMemcpyDefault ||
                    (on_device(from) == from_device && on_device(to) == to_device);
  if (bytes > 0 && !(fits && memory.in_bounds(to, bytes) && memory.in_bounds(from, bytes))) {
    return emulator::result(cudaErrorInvalidValue);
  }
  const emulator::Memory::Access access;
  if (bytes > 0) std::memmove(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t = nullptr) {
  return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemset(void* pointer, int value, size_t bytes) {
  auto& memory = emulator::Memory::all();
  if (bytes == 0) return cudaSuccess;
  if (memory.find(pointer).bytes == 0 || !memory.in_bounds(pointer, bytes)) {
    return emulator::result(cudaErrorInvalidValue);
  }
  const emulator::Memory::Access access;
  std::memset(pointer, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t = nullptr) {
  return cudaMemset(pointer, value, bytes);
}

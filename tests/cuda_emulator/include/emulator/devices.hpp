// Errors and devices: functions of the CUDA runtime.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "emulator/memory.hpp"
#include "emulator/runtime_types.hpp"

namespace emulator {

constexpr int kMultiprocessors = 2;
constexpr int kSharedBytes = 48 << 10;       // what a block gets without asking
constexpr int kMostSharedBytes = 99 << 10;   // and what it can get

inline thread_local cudaError_t last_error = cudaSuccess;
inline thread_local int current_device = 0;

inline cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}
inline cudaError_t result(bool success, cudaError_t otherwise) {
  return result(success ? cudaSuccess : otherwise);
}

// PROBSIG_EMULATOR_DEVICES: how many there are; -1: not even a driver.
inline int devices() {
  const char* text = std::getenv("PROBSIG_EMULATOR_DEVICES");
  return text == nullptr || *text == '\0' ? 1 : std::atoi(text);
}
inline cudaError_t device_error(int device) {
  const int number = devices();
  if (number < 0) return cudaErrorInsufficientDriver;
  if (number == 0) return cudaErrorNoDevice;
  return device >= 0 && device < number ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace emulator

inline cudaError_t cudaGetLastError() {
  const cudaError_t error = emulator::last_error;
  emulator::last_error = cudaSuccess;
  return error;
}
inline cudaError_t cudaPeekAtLastError() { return emulator::last_error; }

inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevicePointer: return "cudaErrorInvalidDevicePointer";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady: return "cudaErrorNotReady";
  }
  return "unrecognized error code";
}
inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevicePointer: return "invalid device pointer";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
  }
  return "unrecognized error code";
}

// ---- devices ------------------------------------------------------------------------------
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = std::max(emulator::devices(), 0);
  return emulator::result(emulator::device_error(0));
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = emulator::current_device;
  return emulator::result(emulator::device_error(0));
}
inline cudaError_t cudaSetDevice(int device) {
  const cudaError_t error = emulator::device_error(device);
  if (error == cudaSuccess) emulator::current_device = device;
  return emulator::result(error);
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const cudaError_t error = emulator::device_error(device);
  if (error != cudaSuccess) return emulator::result(error);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = emulator::kSharedBytes; return cudaSuccess;
    case cudaDevAttrWarpSize: *value = 32; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = emulator::kMultiprocessors; return cudaSuccess;
    case cudaDevAttrL2CacheSize: *value = 1 << 20; return cudaSuccess;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = 100 << 10; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = emulator::kMostSharedBytes;
      return cudaSuccess;
    case cudaDevAttrMemoryPoolsSupported: *value = 1; return cudaSuccess;
  }
  return emulator::result(cudaErrorInvalidValue);
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const cudaError_t error = emulator::device_error(device);
  if (error != cudaSuccess) return emulator::result(error);
  *properties = cudaDeviceProp{};
  std::snprintf(properties->name, sizeof(properties->name), "emulated device");
  properties->totalGlobalMem = emulator::Memory::capacity();
  properties->sharedMemPerBlock = emulator::kSharedBytes;
  properties->sharedMemPerBlockOptin = emulator::kMostSharedBytes;
  properties->sharedMemPerMultiprocessor = 100 << 10;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->major = 9;
  properties->multiProcessorCount = emulator::kMultiprocessors;
  properties->l2CacheSize = 1 << 20;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = emulator::devices() < 0 ? 0 : CUDART_VERSION;  // 0: no driver
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

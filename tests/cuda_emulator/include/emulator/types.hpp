// Keywords and built-in types of CUDA C++.
#pragma once

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// The threads of a block all run on one operating-system thread, so one variable each serves them.
#define __shared__ static thread_local

#define PROBSIG_EMULATOR_VECTORS(type, name, bytes)                                               \
  struct name##1 {                                                                                \
    type x;                                                                                       \
  };                                                                                              \
  struct __align__(2 * bytes) name##2 {                                                           \
    type x, y;                                                                                    \
  };                                                                                              \
  struct name##3 {                                                                                \
    type x, y, z;                                                                                 \
  };                                                                                              \
  struct __align__(4 * bytes > 16 ? 16 : 4 * bytes) name##4 {                                     \
    type x, y, z, w;                                                                              \
  };                                                                                              \
  inline name##1 make_##name##1(type x) { return {x}; }                                           \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                \
  inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                     \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

PROBSIG_EMULATOR_VECTORS(signed char, char, 1)
PROBSIG_EMULATOR_VECTORS(unsigned char, uchar, 1)
PROBSIG_EMULATOR_VECTORS(short, short, 2)
PROBSIG_EMULATOR_VECTORS(unsigned short, ushort, 2)
PROBSIG_EMULATOR_VECTORS(int, int, 4)
PROBSIG_EMULATOR_VECTORS(unsigned int, uint, 4)
PROBSIG_EMULATOR_VECTORS(long, long, 8)
PROBSIG_EMULATOR_VECTORS(unsigned long, ulong, 8)
PROBSIG_EMULATOR_VECTORS(long long, longlong, 8)
PROBSIG_EMULATOR_VECTORS(unsigned long long, ulonglong, 8)
PROBSIG_EMULATOR_VECTORS(float, float, 4)
PROBSIG_EMULATOR_VECTORS(double, double, 8)
#undef PROBSIG_EMULATOR_VECTORS

struct dim3 {
  unsigned int x, y, z;
  constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1)
      : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return uint3{x, y, z}; }
};

inline thread_local uint3 threadIdx{};
inline thread_local uint3 blockIdx{};
inline thread_local dim3 blockDim{};
inline thread_local dim3 gridDim{};
constexpr int warpSize = 32;

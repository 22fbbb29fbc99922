// Functions of one thread: bits, minima, atomics and fences.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "emulator/fiber.hpp"

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned long long __brevll(unsigned long long x) {
  return (static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32) |
         __brev(static_cast<unsigned>(x >> 32));
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((std::uint64_t{a} * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}

// One rounding each, and never fused.
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }

template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, T value) {
  *address = value;
}

[[noreturn]] inline void __trap() { emulator::fail("__trap"); }

#define PROBSIG_EMULATOR_EXTREMES(a_type, b_type, result)                                        \
  inline result min(const a_type a, const b_type b) {                                            \
    return static_cast<result>(a) < static_cast<result>(b) ? static_cast<result>(a)              \
                                                           : static_cast<result>(b);             \
  }                                                                                              \
  inline result max(const a_type a, const b_type b) {                                            \
    return static_cast<result>(a) > static_cast<result>(b) ? static_cast<result>(a)              \
                                                           : static_cast<result>(b);             \
  }
#define PROBSIG_EMULATOR_INTEGER_EXTREMES(type)                    \
  PROBSIG_EMULATOR_EXTREMES(type, type, type)                      \
  PROBSIG_EMULATOR_EXTREMES(unsigned type, unsigned type, unsigned type) \
  PROBSIG_EMULATOR_EXTREMES(type, unsigned type, unsigned type)    \
  PROBSIG_EMULATOR_EXTREMES(unsigned type, type, unsigned type)
PROBSIG_EMULATOR_INTEGER_EXTREMES(int)
PROBSIG_EMULATOR_INTEGER_EXTREMES(long)
PROBSIG_EMULATOR_INTEGER_EXTREMES(long long)
PROBSIG_EMULATOR_EXTREMES(float, float, float)
PROBSIG_EMULATOR_EXTREMES(double, double, double)
PROBSIG_EMULATOR_EXTREMES(float, double, double)
PROBSIG_EMULATOR_EXTREMES(double, float, double)
#undef PROBSIG_EMULATOR_INTEGER_EXTREMES
#undef PROBSIG_EMULATOR_EXTREMES

// ---- atomics: other threads of the system may run kernels on the same memory ---------------
namespace emulator {

template <class T, class Change>
T atomic_change(T* address, const Change& change) {
  T before;
  __atomic_load(address, &before, __ATOMIC_RELAXED);
  for (;;) {
    T after = change(before);
    if (__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED)) {
      return before;
    }
  }
}

}  // namespace emulator

#define PROBSIG_EMULATOR_ATOMIC(name, builtin, type) \
  inline type name(type* address, type value) {      \
    return builtin(address, value, __ATOMIC_RELAXED); \
  }
PROBSIG_EMULATOR_ATOMIC(atomicAdd, __atomic_fetch_add, int)
PROBSIG_EMULATOR_ATOMIC(atomicAdd, __atomic_fetch_add, unsigned)
PROBSIG_EMULATOR_ATOMIC(atomicAdd, __atomic_fetch_add, unsigned long long)
PROBSIG_EMULATOR_ATOMIC(atomicSub, __atomic_fetch_sub, int)
PROBSIG_EMULATOR_ATOMIC(atomicSub, __atomic_fetch_sub, unsigned)
#define PROBSIG_EMULATOR_ATOMICS(type)                           \
  PROBSIG_EMULATOR_ATOMIC(atomicExch, __atomic_exchange_n, type) \
  PROBSIG_EMULATOR_ATOMIC(atomicAnd, __atomic_fetch_and, type)   \
  PROBSIG_EMULATOR_ATOMIC(atomicOr, __atomic_fetch_or, type)     \
  PROBSIG_EMULATOR_ATOMIC(atomicXor, __atomic_fetch_xor, type)   \
  inline type atomicCAS(type* address, type compare, type value) { \
    __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, \
                                __ATOMIC_RELAXED);               \
    return compare;                                              \
  }
PROBSIG_EMULATOR_ATOMICS(int)
PROBSIG_EMULATOR_ATOMICS(unsigned)
PROBSIG_EMULATOR_ATOMICS(unsigned long long)
#undef PROBSIG_EMULATOR_ATOMICS
#undef PROBSIG_EMULATOR_ATOMIC

#define PROBSIG_EMULATOR_ATOMIC(name, type, expression)                             \
  inline type name(type* address, type b) {                                         \
    return emulator::atomic_change(address, [b](type a) { return (expression); });  \
  }
PROBSIG_EMULATOR_ATOMIC(atomicAdd, float, a + b)
PROBSIG_EMULATOR_ATOMIC(atomicAdd, double, a + b)
PROBSIG_EMULATOR_ATOMIC(atomicExch, float, ((void)a, b))
PROBSIG_EMULATOR_ATOMIC(atomicMin, int, a < b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMin, unsigned, a < b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMin, long long, a < b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMin, unsigned long long, a < b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMax, int, a > b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMax, unsigned, a > b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMax, long long, a > b ? a : b)
PROBSIG_EMULATOR_ATOMIC(atomicMax, unsigned long long, a > b ? a : b)
#undef PROBSIG_EMULATOR_ATOMIC

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

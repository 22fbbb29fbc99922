// Hints that memory will be needed soon; no effect where the compiler has none.
#pragma once

namespace probsig {

inline void prefetch_read(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address, 0);
#else
  (void)address;
#endif
}

inline void prefetch_write(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address, 1);
#else
  (void)address;
#endif
}

}  // namespace probsig

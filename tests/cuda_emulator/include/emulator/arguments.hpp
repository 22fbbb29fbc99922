// What kernels are given: on a device an address of the host's memory would be a fault.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator/memory.hpp"

namespace emulator {

// Whether a word is the address of something that a device cannot see. Words below those where
// programs, heaps and stacks lie (a sanitizer's tables lie lower) are numbers, and so are those
// that are the address of nothing.
inline bool is_host_address(std::uintptr_t word) {
  constexpr std::uintptr_t kLeast = std::uintptr_t{1} << 45, kEnd = std::uintptr_t{1} << 47;
  if (word < kLeast || word >= kEnd) return false;
  const auto known = [](std::uintptr_t address) {
    return Memory::all().find(reinterpret_cast<const void*>(address)).bytes > 0;
  };
  if (known(word) || known(word - 1)) return false;  // or just behind the end
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(word / page * page), page, &resident) == 0;
}

// By value: padding is cleared, which may hold anything.
template <class T>
void check_argument(T value, const char* kernel) {
  static_assert(std::is_trivially_copyable_v<T>, "a kernel's arguments are copied as bytes");
  if constexpr (std::is_pointer_v<T> || std::is_class_v<T>) {
#if defined(__GNUC__) && !defined(__clang__)
    __builtin_clear_padding(&value);
#endif
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (std::size_t i = 0; i + sizeof(std::uintptr_t) <= sizeof(T); i += sizeof(std::uintptr_t)) {
      std::uintptr_t word;
      std::memcpy(&word, bytes + i, sizeof(word));
      if (!is_host_address(word)) continue;
      fail("an argument of a kernel holds %p, an address of the host or of freed memory, at byte "
           "%zu of its %zu: %s",
           reinterpret_cast<void*>(word), i, sizeof(T), kernel);
    }
  }
}

}  // namespace emulator

// What the stand-ins for CUB share: checks of their arrays, and the protocol of their calls.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <type_traits>

namespace cub {
namespace detail {

constexpr std::size_t kTemporaryBytes = 256;

template <class Iterator>
using value_of = typename std::iterator_traits<Iterator>::value_type;
template <class Operation, class Init, class Input>
using sum_of = std::decay_t<std::invoke_result_t<Operation, Init, Input>>;

// The first of the two calls asks for the size, the second works.
template <class Work>
cudaError_t two_phases(void* temporary, std::size_t& bytes, const Work& work) {
  if (temporary == nullptr) {
    bytes = kTemporaryBytes;
    return cudaSuccess;
  }
  if (bytes < kTemporaryBytes) return emulator::result(cudaErrorInvalidValue);
  const emulator::Memory::Access access;
  std::memset(temporary, 0x5A, bytes);
  work();
  return cudaSuccess;
}

// An array that the device reads or writes: it must lie in the device's memory. Other iterators
// than pointers are not looked at.
template <class Iterator>
void on_device(Iterator array, std::size_t size) {
  if constexpr (std::is_pointer_v<Iterator>) {
    if (size == 0) return;
    auto& memory = emulator::Memory::all();
    const bool known = memory.find(array).bytes > 0;
    if (!known || !memory.in_bounds(array, size * sizeof(*array))) {
      emulator::fail("cub: %zu items of %zu bytes at %p are not in the device's memory", size,
                     sizeof(*array), static_cast<const void*>(array));
    }
  }
}

// Arrays that must not overlap.
template <class A, class B>
void apart(A a, std::size_t a_size, B b, std::size_t b_size) {
  if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    const auto a_begin = reinterpret_cast<std::uintptr_t>(a);
    const auto b_begin = reinterpret_cast<std::uintptr_t>(b);
    if (a_begin < b_begin + b_size * sizeof(*b) && b_begin < a_begin + a_size * sizeof(*a)) {
      emulator::fail("cub: input and output overlap");
    }
  }
}

template <class Items>
std::size_t count(Items items) {
  if (std::is_signed_v<Items> && items < Items{0}) emulator::fail("cub: fewer than no items");
  return static_cast<std::size_t>(items);
}

// Runs of equal keys: `unique` gets their keys, body(run, begin, end) is called for each, and
// `number` gets how many there are.
template <class Keys, class Unique, class Number, class Body>
void each_run(Keys keys, std::size_t size, Unique unique, Number number, const Body& body) {
  on_device(keys, size);
  on_device(number, 1);
  std::size_t runs = 0;
  for (std::size_t begin = 0, end = 0; begin < size; begin = end) {
    while (end < size && keys[begin] == keys[end]) ++end;
    unique[runs] = keys[begin];
    body(runs++, begin, end);
  }
  on_device(unique, runs);
  apart(keys, size, unique, runs);
  *number = static_cast<value_of<Number>>(runs);
}

}  // namespace detail
}  // namespace cub

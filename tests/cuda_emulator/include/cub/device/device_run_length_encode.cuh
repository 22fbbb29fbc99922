#pragma once

#include <cub/detail/arrays.cuh>

namespace cub {

struct DeviceRunLengthEncode {
  // The number of items is an int here, unlike in the other algorithms.
  template <class In, class Unique, class Lengths, class Number>
  static cudaError_t Encode(void* temporary, std::size_t& bytes, In in, Unique unique,
                            Lengths lengths, Number number, int items, cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      detail::each_run(in, detail::count(items), unique, number,
                       [&](std::size_t run, std::size_t begin, std::size_t end) {
                         lengths[run] = static_cast<detail::value_of<Lengths>>(end - begin);
                       });
    });
  }
};

}  // namespace cub

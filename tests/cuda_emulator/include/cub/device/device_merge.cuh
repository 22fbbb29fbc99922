#pragma once

#include <cub/detail/arrays.cuh>

namespace cub {

struct DeviceMerge {
  // Of equal keys those of the first input come first.
  template <class Keys1, class Values1, class Keys2, class Values2, class KeysOut, class ValuesOut,
            class Compare = std::less<>>
  static cudaError_t MergePairs(void* temporary, std::size_t& bytes, Keys1 keys1, Values1 values1,
                                std::int64_t size1, Keys2 keys2, Values2 values2,
                                std::int64_t size2, KeysOut keys_out, ValuesOut values_out,
                                Compare compare = {}, cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      const std::size_t size = detail::count(size1) + detail::count(size2);
      detail::on_device(keys1, detail::count(size1));
      detail::on_device(values1, detail::count(size1));
      detail::on_device(keys2, detail::count(size2));
      detail::on_device(values2, detail::count(size2));
      detail::on_device(keys_out, size);
      detail::on_device(values_out, size);
      std::int64_t a = 0, b = 0;
      while (a < size1 || b < size2) {
        if (b == size2 || (a < size1 && !compare(keys2[b], keys1[a]))) {
          *keys_out++ = keys1[a];
          *values_out++ = values1[a++];
        } else {
          *keys_out++ = keys2[b];
          *values_out++ = values2[b++];
        }
      }
    });
  }
};

}  // namespace cub

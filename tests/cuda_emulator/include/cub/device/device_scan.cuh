#pragma once

#include <cub/detail/arrays.cuh>

namespace cub {

struct DeviceScan {
  // Both add in the type of the INPUT (or what its addition promotes to), whatever the output is.
  template <class In, class Out, class Items>
  static cudaError_t ExclusiveSum(void* temporary, std::size_t& bytes, In in, Out out, Items items,
                                  cudaStream_t = nullptr) {
    using Value = detail::value_of<In>;
    using Total = detail::sum_of<std::plus<>, Value, Value>;
    return detail::two_phases(temporary, bytes, [&] {
      detail::on_device(in, detail::count(items));
      detail::on_device(out, detail::count(items));
      Total total{};
      for (std::size_t i = 0; i < detail::count(items); ++i) {
        const auto value = static_cast<Total>(in[i]);  // `out` may be `in`
        out[i] = static_cast<detail::value_of<Out>>(total);
        total = static_cast<Total>(total + value);
      }
    });
  }
  template <class Data, class Items>
  static cudaError_t ExclusiveSum(void* temporary, std::size_t& bytes, Data data, Items items,
                                  cudaStream_t stream = nullptr) {
    return ExclusiveSum(temporary, bytes, data, data, items, stream);
  }
  template <class In, class Out, class Items>
  static cudaError_t InclusiveSum(void* temporary, std::size_t& bytes, In in, Out out, Items items,
                                  cudaStream_t = nullptr) {
    using Value = detail::value_of<In>;
    using Total = detail::sum_of<std::plus<>, Value, Value>;
    return detail::two_phases(temporary, bytes, [&] {
      detail::on_device(in, detail::count(items));
      detail::on_device(out, detail::count(items));
      Total total{};
      for (std::size_t i = 0; i < detail::count(items); ++i) {
        total = static_cast<Total>(total + static_cast<Total>(in[i]));
        out[i] = static_cast<detail::value_of<Out>>(total);
      }
    });
  }
  template <class Data, class Items>
  static cudaError_t InclusiveSum(void* temporary, std::size_t& bytes, Data data, Items items,
                                  cudaStream_t stream = nullptr) {
    return InclusiveSum(temporary, bytes, data, data, items, stream);
  }
};

}  // namespace cub

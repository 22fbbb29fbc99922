#pragma once

#include <cub/detail/arrays.cuh>

#include <algorithm>
#include <limits>

namespace cub {

struct DeviceReduce {
  // Adds in the type of the output, or a wider one that the addition promotes to.
  template <class In, class Out, class Items>
  static cudaError_t Sum(void* temporary, std::size_t& bytes, In in, Out out, Items items,
                         cudaStream_t = nullptr) {
    using Result = detail::value_of<Out>;
    using Total = detail::sum_of<std::plus<>, Result, detail::value_of<In>>;
    return detail::two_phases(temporary, bytes, [&] {
      detail::on_device(in, detail::count(items));
      detail::on_device(out, 1);
      Total total{};
      for (std::size_t i = 0; i < detail::count(items); ++i) {
        total = static_cast<Total>(total + static_cast<Total>(in[i]));
      }
      *out = static_cast<Result>(total);
    });
  }
  template <class In, class Out, class Items>
  static cudaError_t Max(void* temporary, std::size_t& bytes, In in, Out out, Items items,
                         cudaStream_t = nullptr) {
    using Value = detail::value_of<In>;
    return detail::two_phases(temporary, bytes, [&] {
      detail::on_device(in, detail::count(items));
      detail::on_device(out, 1);
      Value most = std::numeric_limits<Value>::lowest();
      for (std::size_t i = 0; i < detail::count(items); ++i) most = std::max<Value>(most, in[i]);
      *out = static_cast<detail::value_of<Out>>(most);
    });
  }
  // Adds in the type of the input's values.
  template <class Keys, class Unique, class Values, class Sums, class Number, class Operation,
            class Items>
  static cudaError_t ReduceByKey(void* temporary, std::size_t& bytes, Keys keys, Unique unique,
                                 Values values, Sums sums, Number number, Operation operation,
                                 Items items, cudaStream_t = nullptr) {
    using Value = detail::value_of<Values>;
    using Total = detail::sum_of<Operation, Value, Value>;
    return detail::two_phases(temporary, bytes, [&] {
      const std::size_t size = detail::count(items);
      detail::on_device(values, size);
      detail::apart(values, size, sums, 1);
      detail::each_run(keys, size, unique, number,
                       [&](std::size_t run, std::size_t begin, std::size_t end) {
                         auto total = static_cast<Total>(values[begin]);
                         for (std::size_t i = begin + 1; i < end; ++i) {
                           total = static_cast<Total>(operation(total, values[i]));
                         }
                         sums[run] = static_cast<detail::value_of<Sums>>(total);
                       });
    });
  }
};

}  // namespace cub

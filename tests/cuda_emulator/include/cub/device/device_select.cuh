#pragma once

#include <cub/detail/arrays.cuh>

namespace cub {

struct DeviceSelect {
  template <class In, class Flags, class Out, class Number>
  static cudaError_t Flagged(void* temporary, std::size_t& bytes, In in, Flags flags, Out out,
                             Number number, std::int64_t items, cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      const std::size_t size = detail::count(items);
      detail::on_device(in, size);
      detail::on_device(flags, size);
      detail::on_device(number, 1);
      std::size_t selected = 0;
      for (std::size_t i = 0; i < size; ++i) {
        if (static_cast<bool>(flags[i])) out[selected++] = in[i];
      }
      detail::on_device(out, selected);
      detail::apart(in, size, out, selected);
      *number = static_cast<detail::value_of<Number>>(selected);
    });
  }
};

}  // namespace cub

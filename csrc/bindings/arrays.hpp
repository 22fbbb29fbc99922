// NumPy arrays in and out: checked on the way in, handed over without a copy on the way out.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>

#include "core/block.hpp"
#include "core/views.hpp"

namespace probsig {

namespace py = pybind11;

// Whether elements lie at addresses that suit their type; kernels read them as such.
inline bool is_aligned(const py::array& array) {
  return (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
}

// Refuses another type, shape or layout rather than converting it: a silent copy of a corpus
// would be worse than an error.
template <class T>
Span<T> as_span(const py::array& array, const char* name) {
  if (!py::isinstance<py::array_t<T, py::array::c_style>>(array) || array.ndim() != 1 ||
      !is_aligned(array)) {
    throw py::type_error(std::string(name) + ": expected a contiguous 1-D array of " +
                         std::string(py::str(py::dtype::of<T>())) + ", got " +
                         (is_aligned(array) ? "" : "unaligned ") +
                         std::string(py::str(array.dtype())) + " of " +
                         std::to_string(array.ndim()) + " dimensions");
  }
  return {static_cast<const T*>(array.data()), static_cast<std::int64_t>(array.size())};
}

// `T` may be the type of all members of the vector's.
template <class T, class Element>
py::array_t<T> to_numpy_as(PodVector<Element>&& vector) {
  static_assert(sizeof(Element) % sizeof(T) == 0);
  const auto each = static_cast<std::int64_t>(sizeof(Element) / sizeof(T));
  const std::int64_t size = vector.size() * each;
  if (size == 0) return py::array_t<T>(0);
  auto memory = std::make_unique<Memory>(std::move(vector).release());
  const T* data = static_cast<const T*>(memory->data());
  py::capsule owner(memory.get(), [](void* owned) { delete static_cast<Memory*>(owned); });
  memory.release();  // the capsule's now
  return py::array_t<T>(size, data, owner);
}

template <class T>
py::array_t<T> to_numpy(PodVector<T>&& vector) {
  return to_numpy_as<T>(std::move(vector));
}

// An array that a kernel may write to.
template <class T>
T* as_room(py::array& array, const char* name) {
  as_span<T>(array, name);
  return static_cast<T*>(array.mutable_data());
}

// The part of `room` that the vector has filled, or its own memory if it outgrew that.
template <class T>
py::array to_numpy_or_room(PodVector<T>&& vector, const py::array& room) {
  if (!vector.borrowed()) return to_numpy(std::move(vector));
  return py::array(room[py::slice(0, static_cast<py::ssize_t>(vector.size()), 1)]);
}

// Row pointers must rise within the entries.
inline void check_rows(Span<std::int64_t> indptr, std::int64_t indices, std::int64_t values) {
  if (indptr.size < 1 || indices != values) {
    throw py::value_error("indices, data: expected as many of both, and row pointers");
  }
  std::int64_t position = 0;
  for (std::int64_t row = 0; row < indptr.size; ++row) {
    if (indptr[row] < position || indptr[row] > indices) {
      throw py::value_error("indptr: expected to rise within the entries: damaged");
    }
    position = indptr[row];
  }
}

template <class Value>
py::tuple to_tuple(BlockOf<Value>&& block) {
  return py::make_tuple(to_numpy(std::move(block.indptr)), to_numpy(std::move(block.indices)),
                        to_numpy(std::move(block.data)));
}

// Likewise, of a block whose entries may lie in room.
template <class Value>
py::tuple to_tuple_or_room(BlockOf<Value>&& block, const py::array& indices_room,
                           const py::array& data_room) {
  return py::make_tuple(to_numpy(std::move(block.indptr)),
                        to_numpy_or_room(std::move(block.indices), indices_room),
                        to_numpy_or_room(std::move(block.data), data_room));
}

inline CancelFlag as_flag(const py::array& cancel) {
  const auto flag = as_span<std::uint8_t>(cancel, "cancel");
  if (flag.size != 1) throw py::value_error("cancel: expected one element");
  return CancelFlag(flag.data);
}

// Runs must lie in order within the tokens: kernels read there unchecked.
inline void check_runs(Span<std::int64_t> starts, Span<std::int64_t> ends, std::int64_t tokens) {
  if (starts.size != ends.size) {
    throw py::value_error("run_starts, run_ends: expected as many of both");
  }
  std::int64_t position = 0;
  for (std::int64_t run = 0; run < starts.size; ++run) {
    if (starts[run] < position || ends[run] < starts[run]) {
      throw py::value_error("run_starts, run_ends: expected to rise, without overlap");
    }
    position = ends[run];
  }
  if (position > tokens) {
    throw py::value_error("run_ends: expected none beyond the tokens");
  }
}

// What kernels rely on: they read there unchecked.
template <class Token>
void check_chunk(const Chunk<Token>& chunk) {
  if (chunk.core < 0 || chunk.core > chunk.tokens.size ||
      chunk.tokens.size > (std::int64_t{1} << 32) - 1) {
    throw py::value_error("core: expected from 0 to the number of tokens, below 2^32");
  }
  check_runs(chunk.run_starts, chunk.run_ends, chunk.tokens.size);
}

template <class Token>
Chunk<Token> as_chunk(const py::array& tokens, std::int64_t core, const py::array& run_starts,
                      const py::array& run_ends, const py::array& histogram) {
  Chunk<Token> chunk{as_span<Token>(tokens, "tokens"), core,
                     as_span<std::int64_t>(run_starts, "run_starts"),
                     as_span<std::int64_t>(run_ends, "run_ends"),
                     as_span<std::int64_t>(histogram, "histogram")};
  check_chunk(chunk);
  return chunk;
}

}  // namespace probsig

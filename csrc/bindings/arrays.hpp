// NumPy arrays in and out: checked on the way in, handed over without a copy on the way out.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>

#include "core/block.hpp"
#include "core/views.hpp"
#include "cpu/gram.hpp"

namespace probsig {

namespace py = pybind11;

// Refuses another type, shape or layout rather than converting it: a silent copy of a corpus
// would be worse than an error.
template <class T>
Span<T> as_span(const py::array& array, const char* name) {
  if (!py::isinstance<py::array_t<T, py::array::c_style>>(array) || array.ndim() != 1) {
    throw py::type_error(std::string(name) + ": expected a contiguous 1-D array of " +
                         std::string(py::str(py::dtype::of<T>())) + ", got " +
                         std::string(py::str(array.dtype())) + " of " +
                         std::to_string(array.ndim()) + " dimensions");
  }
  return {static_cast<const T*>(array.data()), static_cast<std::int64_t>(array.size())};
}

template <class T>
py::array_t<T> to_numpy(PodVector<T>&& vector) {
  const std::int64_t size = vector.size();
  if (size == 0) return py::array_t<T>(0);
  auto memory = std::make_unique<Memory>(std::move(vector).release());
  const T* data = static_cast<const T*>(memory->data());
  py::capsule owner(memory.get(), [](void* owned) { delete static_cast<Memory*>(owned); });
  memory.release();  // the capsule's now
  return py::array_t<T>(size, data, owner);
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

// Indices are left to the kernel to check.
inline BlockView as_block(const py::array& indptr, const py::array& indices,
                          const py::array& data) {
  BlockView block{as_span<std::int64_t>(indptr, "indptr"),
                  as_span<std::int32_t>(indices, "indices"), as_span<std::int64_t>(data, "data")};
  check_rows(block.indptr, block.indices.size, block.data.size);
  return block;
}

// As as_block, of floats.
inline RowsView as_rows(const py::array& indptr, const py::array& indices,
                        const py::array& values) {
  RowsView rows{as_span<std::int64_t>(indptr, "indptr"),
                as_span<std::int32_t>(indices, "indices"), as_span<double>(values, "values")};
  check_rows(rows.indptr, rows.indices.size, rows.values.size);
  return rows;
}

// Needs no GIL: O(entries), and kernels that are called for many row ranges do it each time.
inline void check_indices(const RowsView& rows, std::int64_t columns) {
  bool outside = false;
  for (std::int64_t i = 0; i < rows.indices.size; ++i) {
    outside |= static_cast<std::uint32_t>(rows.indices[i]) >= static_cast<std::uint32_t>(columns);
  }
  if (outside) {
    throw py::index_error("indices: expected from 0 to " + std::to_string(columns - 1) +
                          ", got one outside");
  }
}

inline py::tuple to_tuple(BlockBuilder&& block) {
  return py::make_tuple(to_numpy(std::move(block.indptr)), to_numpy(std::move(block.indices)),
                        to_numpy(std::move(block.data)));
}

inline CancelFlag as_flag(const py::array& cancel) {
  const auto flag = as_span<std::uint8_t>(cancel, "cancel");
  if (flag.size != 1) throw py::value_error("cancel: expected one element");
  return CancelFlag(flag.data);
}

// Runs must lie in order within the tokens: kernels read there unchecked.
template <class Token>
Chunk<Token> as_chunk(const py::array& tokens, std::int64_t core, const py::array& run_starts,
                      const py::array& run_ends, const py::array& histogram) {
  Chunk<Token> chunk{as_span<Token>(tokens, "tokens"), core,
                     as_span<std::int64_t>(run_starts, "run_starts"),
                     as_span<std::int64_t>(run_ends, "run_ends"),
                     as_span<std::int64_t>(histogram, "histogram")};
  if (core < 0 || core > chunk.tokens.size || chunk.tokens.size > (std::int64_t{1} << 32) - 1) {
    throw py::value_error("core: expected from 0 to the number of tokens, below 2^32");
  }
  if (chunk.run_starts.size != chunk.run_ends.size) {
    throw py::value_error("run_starts, run_ends: expected as many of both");
  }
  std::int64_t position = 0;
  for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
    if (chunk.run_starts[run] < position || chunk.run_ends[run] < chunk.run_starts[run]) {
      throw py::value_error("run_starts, run_ends: expected to rise, without overlap");
    }
    position = chunk.run_ends[run];
  }
  if (position > chunk.tokens.size) {
    throw py::value_error("run_ends: expected none beyond the tokens");
  }
  return chunk;
}

}  // namespace probsig

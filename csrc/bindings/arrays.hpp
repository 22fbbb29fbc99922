// NumPy arrays in and out: checked on the way in, handed over without a copy on the way out.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>

#include "core/block.hpp"
#include "core/views.hpp"
#include "cpu/gram.hpp"
#include "cpu/spans.hpp"

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

// Bounds as their numbers one after the other; they go out as they came in.
inline Span<Bounds> as_bounds(const py::array& numbers) {
  const auto span = as_span<std::uint32_t>(numbers, "bounds");
  if (span.size % 2 != 0) throw py::value_error("bounds: expected pairs");
  return {reinterpret_cast<const Bounds*>(span.data), span.size / 2};
}

inline py::tuple to_tuple(GroupedSpans&& spans) {
  auto memory = to_numpy(std::move(spans.indptr));
  return py::make_tuple(std::move(memory), to_numpy_as<std::uint32_t>(std::move(spans.bounds)));
}

// Row pointers are checked for the rows asked for: a sum is made of many row ranges. Ids are the
// caller's to keep below the columns.
template <class Id>
SpansView<Id> as_spans(std::int64_t row_begin, std::int64_t row_end, const py::array& ids, const py::array& id_weights, const py::array& indptr,
                       const py::array& bounds, const py::array& span_weights,
                       const py::array& head_ids, const py::array& head_bits) {
  SpansView<Id> spans{as_span<Id>(ids, "ids"), as_span<std::int64_t>(id_weights, "id_weights"),
                      as_span<std::int64_t>(indptr, "indptr"), as_bounds(bounds),
                      as_span<std::int64_t>(span_weights, "span_weights"),
                      {as_span<Id>(head_ids, "head_ids"),
                       as_span<std::uint64_t>(head_bits, "head_bits")}};
  const auto& heads = spans.heads;
  if (heads.bits.size != heads.groups() * kLanes * heads.words()) {
    throw py::value_error("head_ids, head_bits: expected whole groups of heads");
  }
  if (row_begin < 0 || row_end < row_begin || row_end >= spans.indptr.size) {
    throw py::value_error("row_begin, row_end: expected within the rows of every part");
  }
  check_rows({spans.indptr.data + row_begin, row_end - row_begin + 1}, spans.bounds.size,
             spans.bounds.size);
  if ((spans.id_weights.size != 0 && spans.id_weights.size != spans.ids.size) ||
      (spans.span_weights.size != 0 && spans.span_weights.size != spans.bounds.size)) {
    throw py::value_error("id_weights, span_weights: expected one for each, or none");
  }
  return spans;
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
  check_runs(chunk.run_starts, chunk.run_ends, chunk.tokens.size);
  return chunk;
}

}  // namespace probsig

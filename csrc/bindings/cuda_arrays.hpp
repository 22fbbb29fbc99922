// Arguments and results of the CUDA kernels as arrays on a device, and as NumPy arrays.
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include "cuda/blocks.hpp"
#include "cuda/gram.hpp"
#include "cuda/spans.hpp"
#include "device_array.hpp"

namespace probsig::gpu {

// Tokens on the device; runs and the histogram on the host, as `as_chunk` checks them.
template <class Token>
Chunk<Token> as_device_chunk(const Array& tokens, std::int64_t core, const py::array& run_starts,
                             const py::array& run_ends, const py::array& histogram) {
  Chunk<Token> chunk{tokens.span<Token>("tokens"), core,
                     as_span<std::int64_t>(run_starts, "run_starts"),
                     as_span<std::int64_t>(run_ends, "run_ends"),
                     as_span<std::int64_t>(histogram, "histogram")};
  check_chunk(chunk);
  return chunk;
}

// A block as NumPy arrays; indices and data lie in the rooms where those are large enough.
inline py::tuple to_numpy(const DeviceBlock& block, int device, py::array indices_room,
                   py::array data_room) {
  const std::int64_t entries = block.indices.size();
  py::array_t<std::int64_t> indptr(block.indptr.size());
  as_room<std::int32_t>(indices_room, "indices_room");
  as_room<std::int64_t>(data_room, "data_room");
  if (indices_room.size() < entries) indices_room = py::array_t<std::int32_t>(entries);
  if (data_room.size() < entries) data_room = py::array_t<std::int64_t>(entries);
  std::int64_t* rows = indptr.mutable_data();
  auto* indices = static_cast<std::int32_t*>(indices_room.mutable_data());
  auto* data = static_cast<std::int64_t*>(data_room.mutable_data());
  {
    py::gil_scoped_release release;
    const DeviceGuard guard(device);
    block.indptr.to_host(rows);
    block.indices.to_host(indices);
    block.data.to_host(data);
  }
  const py::slice filled(0, static_cast<py::ssize_t>(entries), 1);
  return py::make_tuple(indptr, indices_room[filled], data_room[filled]);
}

inline py::tuple to_arrays(GroupedSpans&& spans, int device) {
  const DeviceGuard guard(device);
  Array bounds;
  bounds.size = 2 * spans.bounds.size();
  bounds.element = Element::kUint32;
  bounds.device = device;
  auto memory = std::make_shared<DeviceMemory>(std::move(spans.bounds).release());
  bounds.data = memory->data();
  bounds.owner = std::move(memory);
  return py::make_tuple(Array::of(std::move(spans.indptr)), std::move(bounds));
}

inline Span<Bounds> as_device_bounds(const Array& numbers) {
  const auto span = numbers.span<std::uint32_t>("bounds");
  if (span.size % 2 != 0) throw py::value_error("bounds: expected pairs");
  return {reinterpret_cast<const Bounds*>(span.data), span.size / 2};
}

// ids, id_weights, indptr, bounds, span_weights, head_ids (on the host), head_matrix.
using SpansArrays = std::tuple<Array, Array, Array, Array, Array, py::array, Array>;

template <class Id>
SpansView<Id> as_device_spans(const SpansArrays& arrays) {
  const auto& [ids, id_weights, indptr, bounds, span_weights, head_ids, head_matrix] = arrays;
  SpansView<Id> spans{};
  spans.ids = ids.span<Id>("ids");
  spans.id_weights = id_weights.span<std::int64_t>("id_weights");
  spans.indptr = indptr.span<std::int64_t>("indptr");
  spans.bounds = as_device_bounds(bounds);
  spans.span_weights = span_weights.span<std::int64_t>("span_weights");
  spans.head_ids = as_span<Id>(head_ids, "head_ids");
  spans.head_matrix = head_matrix.span<std::uint8_t>("head_matrix").data;
  const std::int64_t rows = padded(spans.head_ids.size);
  spans.head_stride = rows == 0 ? 0 : head_matrix.size / rows;
  if (head_matrix.size != rows * spans.head_stride ||
      spans.head_stride != padded(spans.head_stride)) {
    throw py::value_error("head_ids, head_matrix: expected one padded row a head");
  }
  if ((spans.id_weights.size != 0 && spans.id_weights.size != spans.ids.size) ||
      (spans.span_weights.size != 0 && spans.span_weights.size != spans.bounds.size)) {
    throw py::value_error("id_weights, span_weights: expected one for each, or none");
  }
  return spans;
}

using RowsArrays = std::tuple<Array, Array, Array>;

inline RowsView as_device_rows(const RowsArrays& arrays) {
  const auto& [indptr, indices, values] = arrays;
  RowsView rows{indptr.span<std::int64_t>("indptr"), indices.span<std::int32_t>("indices"),
                values.span<double>("values")};
  if (rows.indptr.size < 1 || rows.indices.size != rows.values.size) {
    throw py::value_error("indices, values: expected as many of both, and row pointers");
  }
  return rows;
}

}  // namespace probsig::gpu

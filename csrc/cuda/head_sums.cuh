// What the heads of a part add to a range of rows: a matrix product, for the rows that are heads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "head_product.hpp"
#include "launch.cuh"
#include "span_sums.hpp"

namespace probsig::gpu {

// The heads of a part that are rows of a range.
struct HeadRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t columns = 0;  // heads of the part from `begin` on

  std::int64_t rows() const { return end - begin; }
  std::int64_t sums() const { return rows() * columns; }
};

template <class Id>
HeadRange heads_among(Span<Id> heads, std::int64_t row_begin, std::int64_t row_end) {
  const auto first_from = [&](std::int64_t row) {
    return std::lower_bound(heads.data, heads.data + heads.size, row) - heads.data;
  };
  const std::int64_t begin = first_from(row_begin);
  return {begin, first_from(row_end), heads.size - begin};
}

// What kernels see. The k-th head of the range has the sums [k x columns, (k + 1) x columns), one
// for each head from the range's first on, of which only those from itself on count.
template <class Id>
struct HeadSumsView {
  const std::int32_t* head_of_row;  // -1 where a row of the range is no head; null if none is
  const std::int32_t* sums;
  const Id* ids;
  std::int64_t columns;
};

template <class Id>
struct HeadSums {
  DeviceArray<std::int32_t> head_of_row;
  DeviceArray<std::int32_t> sums;
  DeviceArray<Id> ids;

  HeadSumsView<Id> view() const {
    return {head_of_row.data(), sums.data(), ids.data(), ids.size()};
  }
};

template <class Id>
HeadSums<Id> head_sums(const SpansView<Id>& part, std::int64_t row_begin, std::int64_t row_end) {
  HeadSums<Id> result;
  const HeadRange range = heads_among(part.head_ids, row_begin, row_end);
  if (range.rows() == 0) return result;
  result.ids = DeviceArray<Id>::from_host(part.head_ids.data + range.begin, range.columns);
  const std::int64_t rows = row_end - row_begin;
  result.head_of_row = DeviceArray<std::int32_t>(rows);
  fill(result.head_of_row.data(), 0xFF, static_cast<std::size_t>(rows) * sizeof(std::int32_t));
  const Id* ids = result.ids.data();
  std::int32_t* head_of_row = result.head_of_row.data();
  for_each("finding rows of heads", range.rows(), [=] __device__(std::int64_t head) {
    head_of_row[ids[head] - row_begin] = static_cast<std::int32_t>(head);
  });
  // No sum passes the number of sets, which is below 2^31.
  result.sums = DeviceArray<std::int32_t>::zeros(range.sums());
  const std::uint8_t* first = part.head_matrix + range.begin * part.head_stride;
  head_product(first, range.rows(), first, range.columns, part.head_stride, result.sums.data(),
               range.columns, 0);
  return result;
}

}  // namespace probsig::gpu

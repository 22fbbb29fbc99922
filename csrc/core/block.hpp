// A CSR block while it is built, row by row.
#pragma once

#include <cstdint>

#include "memory.hpp"

namespace probsig {

// `Value`: int64_t, or int32_t where all counts fit.
template <class Value>
struct BlockOf {
  PodVector<std::int64_t> indptr;
  PodVector<std::int32_t> indices;
  PodVector<Value> data;

  explicit BlockOf(std::int64_t rows) {
    indptr.reserve_more(rows + 1);
    indptr.push_back(0);
  }

  void reserve(std::int64_t entries) {
    indices.reserve_more(entries);
    data.reserve_more(entries);
  }
  void extend(std::int64_t entries) {
    indices.extend(entries);
    data.extend(entries);
  }
  void push_back(std::uint32_t column, Value value) {
    indices.push_back(static_cast<std::int32_t>(column));
    data.push_back(value);
  }
  void end_row() { indptr.push_back(indices.size()); }
};

using BlockBuilder = BlockOf<std::int64_t>;
using NarrowBlockBuilder = BlockOf<std::int32_t>;

}  // namespace probsig

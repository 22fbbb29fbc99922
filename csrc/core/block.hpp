// A CSR block while it is built, row by row.
#pragma once

#include <cstdint>

#include "memory.hpp"

namespace probsig {

struct BlockBuilder {
  PodVector<std::int64_t> indptr;
  PodVector<std::int32_t> indices;
  PodVector<std::int64_t> data;

  explicit BlockBuilder(std::int64_t rows) {
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
  void push_back(std::uint32_t column, std::int64_t value) {
    indices.push_back(static_cast<std::int32_t>(column));
    data.push_back(value);
  }
  void end_row() { indptr.push_back(indices.size()); }
};

}  // namespace probsig

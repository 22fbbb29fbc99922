#include "merge.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/dispatch.hpp"
#include "core/row_accumulator.hpp"
#include "core/take_row.hpp"
#include "damaged.hpp"

namespace probsig {
namespace {

// Of two rows, one so many times as long as the other is copied stretch by stretch: places are
// searched for, where a step a time would pass hundreds of entries.
constexpr std::int64_t kStretch = 32;

constexpr std::uint64_t kSign = std::uint64_t{1} << 63;

// One row of a block.
template <class Data>
struct Row {
  const std::int32_t* indices;
  const Data* data;
  std::int64_t size;

  Row from(std::int64_t begin) const { return {indices + begin, data + begin, size - begin}; }
};

// One of either width.
struct AnyRow {
  const std::int32_t* indices;
  const std::int64_t* wide;  // null: the counts are narrow
  const std::int32_t* narrow;
  std::int64_t size;

  template <class Visit>
  auto visit(const Visit& visit_row) const {
    if (wide != nullptr) return visit_row(Row<std::int64_t>{indices, wide, size});
    return visit_row(Row<std::int32_t>{indices, narrow, size});
  }
};

AnyRow row_of(const BlockView& block, std::int64_t id) {
  const std::int64_t begin = block.indptr[id];
  return {block.indices.data + begin,
          block.data.data == nullptr ? nullptr : block.data.data + begin,
          block.narrow_data.data == nullptr ? nullptr : block.narrow_data.data + begin,
          block.indptr[id + 1] - begin};
}

// Says what is wrong with a row of which something is.
template <class Data>
[[noreturn]] void throw_damaged(const Row<Data>& row, std::int64_t columns) {
  for (std::int64_t i = 0; i < row.size; ++i) {
    const std::int64_t index = row.indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    if (row.data[i] < 1) throw_below_one(row.data[i]);
    if (i > 0 && index <= row.indices[i - 1]) {
      throw std::invalid_argument("counts: expected column ids that rise within a row, got " +
                                  std::to_string(index) + " after " +
                                  std::to_string(row.indices[i - 1]) + ": damaged");
    }
  }
  throw std::logic_error("a row was found damaged, and is not");
}

// What `check` finds in the top bit of its words, so that it needs no comparisons, which the
// baseline's vectors lack for these types.
struct Findings {
  std::uint32_t bad_index = 0;
  std::uint64_t bad_count = 0;
  std::uint64_t counts = 0;  // all of them, or-ed
};

// `last` is the last column.
template <class Data>
Findings look_at(const Row<Data>& row, std::uint32_t last) {
  Findings found;
  for (std::int64_t i = 0; i < row.size; ++i) {
    const auto index = static_cast<std::uint32_t>(row.indices[i]);
    found.bad_index |= index | (last - index);
    const auto count = static_cast<std::uint64_t>(static_cast<std::int64_t>(row.data[i]));
    found.bad_count |= count | (count - 1);
    found.counts |= count;
  }
  for (std::int64_t i = 1; i < row.size; ++i) {
    found.bad_index |= static_cast<std::uint32_t>(row.indices[i]) -
                       static_cast<std::uint32_t>(row.indices[i - 1]) - 1;
  }
  return found;
}

PROBSIG_MULTIVERSION Findings look(const Row<std::int64_t>& row, std::uint32_t last) {
  return look_at(row, last);
}
PROBSIG_MULTIVERSION Findings look(const Row<std::int32_t>& row, std::uint32_t last) {
  return look_at(row, last);
}

// Indices and counts may come from a damaged file. Returns all counts, or-ed.
template <class Data>
std::uint64_t check(const Row<Data>& row, std::int64_t columns) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const Findings found = look(row, static_cast<std::uint32_t>(std::min(columns - 1, kMost)));
  if (found.bad_index >> 31 != 0 || found.bad_count >> 63 != 0) throw_damaged(row, columns);
  return found.counts;
}

// Where entries go: at first with room for all of a row.
struct Output {
  std::int32_t* indices;
  std::int64_t* data;

  template <class Data>
  void copy(const Row<Data>& row, std::int64_t count) {
    indices = std::copy_n(row.indices, count, indices);
    data = std::copy_n(row.data, count, data);
  }
};

// Two rows of similar length, entry by entry. Without branches: which comes next is unpredictable.
// Returns the sums, or-ed.
template <class First, class Second>
std::uint64_t add_steps(const Row<First>& first, const Row<Second>& second, Output& out) {
  std::uint64_t sums = 0;
  std::int64_t i = 0, j = 0;
  while (i < first.size && j < second.size) {
    const std::int32_t a = first.indices[i], b = second.indices[j];
    const std::int64_t takes_a = a <= b, takes_b = b <= a;
    *out.indices++ = std::min(a, b);
    const std::uint64_t sum = static_cast<std::uint64_t>(first.data[i] & -takes_a) +
                              static_cast<std::uint64_t>(second.data[j] & -takes_b);
    *out.data++ = static_cast<std::int64_t>(sum);
    sums |= sum;
    i += takes_a;
    j += takes_b;
  }
  out.copy(first.from(i), first.size - i);
  out.copy(second.from(j), second.size - j);
  return sums;
}

// The first entry of a row that is not before `index`: by steps of twice the length each, as the
// next is near.
template <class Data>
std::int64_t place_of(std::int32_t index, const Row<Data>& row) {
  std::int64_t step = 1;
  while (step < row.size && row.indices[step] < index) step *= 2;
  const std::int32_t* const end = row.indices + std::min(step + 1, row.size);
  return std::lower_bound(row.indices + step / 2, end, index) - row.indices;
}

// As `add_steps`, where `few` is much the shorter.
template <class Few, class Many>
std::uint64_t add_stretches(const Row<Few>& few, Row<Many> many, Output& out) {
  std::uint64_t sums = 0;
  for (std::int64_t i = 0; i < few.size; ++i) {
    const std::int64_t before = place_of(few.indices[i], many);
    out.copy(many, before);
    many = many.from(before);
    auto sum = static_cast<std::uint64_t>(static_cast<std::int64_t>(few.data[i]));
    if (many.size > 0 && many.indices[0] == few.indices[i]) {
      sum += static_cast<std::uint64_t>(static_cast<std::int64_t>(many.data[0]));
      many = many.from(1);
    }
    *out.indices++ = few.indices[i];
    *out.data++ = static_cast<std::int64_t>(sum);
    sums |= sum;
  }
  out.copy(many, many.size);
  return sums;
}

template <class First, class Second>
std::uint64_t add_two(const Row<First>& first, const Row<Second>& second, Output& out) {
  if (first.size > kStretch * second.size) return add_stretches(second, first, out);
  if (second.size > kStretch * first.size) return add_stretches(first, second, out);
  return add_steps(first, second, out);
}

// Sums rows of blocks, appending one after the other to a block.
class RowSums {
 public:
  RowSums(std::int64_t columns, std::int64_t rows, std::int64_t entries)
      : columns_(columns), block_(rows) {
    block_.reserve(entries);  // what stays unused is never touched, and takes no memory
  }

  // Of the same row of all blocks; those that are not empty.
  void append(const std::vector<AnyRow>& rows) {
    std::uint64_t counts = 0;
    std::int64_t additions = 0;
    for (const AnyRow& row : rows) {
      counts |= row.visit([&](const auto& each) { return check(each, columns_); });
      additions += row.size;
    }
    if (rows.size() <= 2) {
      append_few(rows, additions);
    } else if (counts <= std::numeric_limits<std::uint32_t>::max() / rows.size()) {
      add_narrow(rows, additions);
    } else {
      add_wide(rows);
    }
    block_.end_row();
  }

  BlockBuilder take() && { return std::move(block_); }

 private:
  void append_few(const std::vector<AnyRow>& rows, std::int64_t additions) {
    Output out{block_.indices.reserve_more(additions), block_.data.reserve_more(additions)};
    const std::int32_t* const begin = out.indices;
    std::uint64_t sums = 0;
    if (rows.size() == 1) {
      rows[0].visit([&](const auto& row) { out.copy(row, row.size); });
    } else if (rows.size() == 2) {
      sums = rows[0].visit([&](const auto& first) {
        return rows[1].visit([&](const auto& second) { return add_two(first, second, out); });
      });
    }
    if (sums >= kSign) throw_overflow();
    block_.extend(out.indices - begin);
  }

  // No sum passes 32 bits.
  void add_narrow(const std::vector<AnyRow>& rows, std::int64_t additions) {
    if (!narrow_) narrow_.emplace(columns_);
    if (additions > dense_from(columns_)) {
      add_all(rows, [&](std::uint32_t column, auto count) {
        narrow_->add_dense(column, static_cast<std::uint32_t>(count));
      });
      narrow_->emit_dense(block_, additions);
    } else {
      add_all(rows, [&](std::uint32_t column, auto count) {
        narrow_->add(column, static_cast<std::uint32_t>(count));
      });
      narrow_->emit(block_);
    }
  }

  void add_wide(const std::vector<AnyRow>& rows) {
    if (!wide_) wide_.emplace(columns_);
    for (const AnyRow& row : rows) {
      bool overflow = false;
      add_each(row, [&](std::uint32_t column, auto count) {
        overflow |= wide_->add_checked(column, static_cast<std::uint64_t>(count));
      });
      // Now, as no row has a column twice: the next one might bring a sum to 2^64, which is 0.
      if (overflow) throw_overflow();
    }
    wide_->emit(block_);
  }

  template <class Add>
  static void add_all(const std::vector<AnyRow>& rows, const Add& add) {
    for (const AnyRow& row : rows) add_each(row, add);
  }

  template <class Add>
  static void add_each(const AnyRow& any, const Add& add) {
    any.visit([&](const auto& row) {
      for (std::int64_t i = 0; i < row.size; ++i) {
        add(static_cast<std::uint32_t>(row.indices[i]), row.data[i]);
      }
    });
  }

  std::int64_t columns_;
  BlockBuilder block_;
  // Made when first used.
  std::optional<RowAccumulator<std::uint32_t>> narrow_;
  std::optional<RowAccumulator<std::uint64_t>> wide_;
};

}  // namespace

BlockBuilder merge(const std::vector<BlockView>& blocks, std::int64_t columns) {
  const std::int64_t n_rows = blocks.front().indptr.size - 1;
  std::int64_t entries = 0;
  for (const BlockView& block : blocks) entries += block.indptr[n_rows] - block.indptr[0];
  RowSums sums(columns, n_rows, entries);
  std::vector<AnyRow> rows;
  for (std::int64_t id = 0; id < n_rows; ++id) {
    rows.clear();
    for (const BlockView& block : blocks) {
      const AnyRow row = row_of(block, id);
      if (row.size > 0) rows.push_back(row);
    }
    sums.append(rows);
  }
  return std::move(sums).take();
}

}  // namespace probsig

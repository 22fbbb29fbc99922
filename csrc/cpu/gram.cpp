#include "gram.hpp"

#include <algorithm>
#include <vector>

namespace probsig {
namespace {

// A row of fewer additions than one for so many rows of P lists the sums it touched; a longer one
// looks at all of them, which costs about a quarter as much each (2026 server core).
constexpr std::int64_t kRowsPerAddition = 4;

// Independent sums: the compiler may keep them in vector registers, and their order stays fixed.
constexpr std::int64_t kLanes = 16;

// Terms summed before they join the total: one long sum of like terms would round one way.
constexpr std::int64_t kPart = 512;

// One row of PP' at a time; its sums are all 0 between rows.
class GramRow {
 public:
  GramRow(const RowsView& rows, const RowsView& columns)
      : rows_(rows),
        columns_(columns),
        sums_(static_cast<std::size_t>(rows.rows()), 0.0),
        marks_(static_cast<std::size_t>(rows.rows()), -1),
        touched_(static_cast<std::size_t>(rows.rows()) + 1) {}

  // sum over j != i of (p_i . p_j - shift)^2
  double squares(std::int64_t i, double shift) {
    if (additions(i) < rows_.rows() / kRowsPerAddition) {
      return listed_squares(i, shift, add_listed(i));
    }
    add_dense(i);
    return dense_squares(i, shift);
  }

 private:
  std::int64_t additions(std::int64_t i) const {
    std::int64_t total = 0;
    for (std::int64_t k = rows_.indptr[i]; k < rows_.indptr[i + 1]; ++k) {
      const std::int64_t column = rows_.indices[k];
      total += columns_.indptr[column + 1] - columns_.indptr[column];
    }
    return total;
  }

  // add(j, p_ic p_jc) for the entries c of row i and j of column c.
  template <class Add>
  void for_each_product(std::int64_t i, Add add) const {
    for (std::int64_t k = rows_.indptr[i]; k < rows_.indptr[i + 1]; ++k) {
      const std::int64_t column = rows_.indices[k];
      const double value = rows_.values[k];
      const std::int64_t end = columns_.indptr[column + 1];
      for (std::int64_t l = columns_.indptr[column]; l < end; ++l) {
        add(static_cast<std::size_t>(columns_.indices[l]), value * columns_.values[l]);
      }
    }
  }

  void add_dense(std::int64_t i) {
    double* const sums = sums_.data();
    for_each_product(i, [sums](std::size_t j, double product) { sums[j] += product; });
  }

  double dense_squares(std::int64_t i, double shift) {
    sums_[static_cast<std::size_t>(i)] = shift;  // so that j = i adds exactly 0
    double total = 0.0;
    for (std::int64_t begin = 0; begin < rows_.rows(); begin += kPart) {
      total += part_squares(begin, std::min(begin + kPart, rows_.rows()), shift);
    }
    return total;
  }

  // sum over j in [begin, end) of (sums[j] - shift)^2; clears them.
  double part_squares(std::int64_t begin, std::int64_t end, double shift) {
    double* const sums = sums_.data();
    double lanes[kLanes] = {};
    std::int64_t j = begin;
    for (; j + kLanes <= end; j += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += square(sums[j + lane] - shift);
        sums[j + lane] = 0.0;
      }
    }
    for (; j < end; ++j) {
      lanes[0] += square(sums[j] - shift);
      sums[j] = 0.0;
    }
    double total = 0.0;
    for (const double lane : lanes) total += lane;
    return total;
  }

  // As add_dense; returns how many different j are in touched_. A sum may pass through 0, so it
  // cannot be its own mark.
  std::size_t add_listed(std::int64_t i) {
    const auto mark = static_cast<std::int32_t>(i);
    std::size_t count = 0;
    for_each_product(i, [this, mark, &count](std::size_t j, double product) {
      touched_[count] = static_cast<std::uint32_t>(j);
      count += marks_[j] != mark;  // branch-free: the first touch is unpredictable
      marks_[j] = mark;
      sums_[j] += product;
    });
    return count;
  }

  // As dense_squares for the first `count` in touched_; all other sums are 0.
  double listed_squares(std::int64_t i, double shift, std::size_t count) {
    double total = 0.0;
    std::int64_t untouched = rows_.rows() - 1;
    for (std::size_t begin = 0; begin < count; begin += kPart) {
      const std::size_t end = std::min<std::size_t>(begin + kPart, count);
      double part = 0.0;
      for (std::size_t k = begin; k < end; ++k) {
        const std::size_t j = touched_[k];
        if (j != static_cast<std::size_t>(i)) {
          part += square(sums_[j] - shift);
          --untouched;
        }
        sums_[j] = 0.0;
      }
      total += part;
    }
    return total + static_cast<double>(untouched) * square(shift);
  }

  static double square(double x) { return x * x; }

  const RowsView& rows_;
  const RowsView& columns_;
  std::vector<double> sums_;
  std::vector<std::int32_t> marks_;  // the last listed row that touched j
  std::vector<std::uint32_t> touched_;
};

}  // namespace

void gram_squares(const RowsView& rows, const RowsView& columns, double shift,
                  std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel, double* out) {
  GramRow row(rows, columns);
  for (std::int64_t i = row_begin; i < row_end && !cancel.set(); ++i) {
    out[i - row_begin] = row.squares(i, shift);
  }
}

}  // namespace probsig

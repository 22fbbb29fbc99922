#include "gram.hpp"

#include <vector>

namespace probsig {
namespace {

// A row of fewer additions than one for so many rows of P lists the sums it touched; a longer one
// looks at all of them, which costs about a quarter as much each (2026 server core).
constexpr std::int64_t kRowsPerAddition = 4;

// Independent sums: the compiler may keep them in vector registers, and their order stays fixed.
constexpr std::int64_t kLanes = 16;

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
    double* const sums = sums_.data();
    const std::int64_t size = rows_.rows();
    sums[i] = shift;  // so that j = i adds exactly 0
    double lanes[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= size; j += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const double difference = sums[j + lane] - shift;
        lanes[lane] += difference * difference;
        sums[j + lane] = 0.0;
      }
    }
    double total = 0.0;
    for (; j < size; ++j) {
      total += (sums[j] - shift) * (sums[j] - shift);
      sums[j] = 0.0;
    }
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

  double listed_squares(std::int64_t i, double shift, std::size_t count) {
    double total = 0.0;
    std::int64_t untouched = rows_.rows() - 1;
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t j = touched_[k];
      if (j != static_cast<std::size_t>(i)) {
        total += (sums_[j] - shift) * (sums_[j] - shift);
        --untouched;
      }
      sums_[j] = 0.0;
    }
    return total + static_cast<double>(untouched) * (shift * shift);
  }

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

#include "gram.hpp"

#include <algorithm>
#include <vector>

#include "core/dispatch.hpp"

namespace probsig {
namespace {

// Independent sums: the compiler may keep them in vector registers, and their order stays fixed.
constexpr std::int64_t kLanes = 16;

// Terms summed before they join the total: one long sum of like terms would round one way.
constexpr std::int64_t kPart = 512;

using Sums = std::vector<double>;

// sums[j] += value p_jc for the entries [begin, end) of column c.
void add_column(double* sums, const RowsView& columns, std::int64_t begin, std::int64_t end,
                double value) {
  for (std::int64_t l = begin; l < end; ++l) sums[columns.indices[l]] += value * columns.values[l];
}

double total(const double* lanes) {
  double sum = 0.0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

// The sum over j of (sums[j] - shift)^2, each of which joins shares[j] too; clears the sums.
PROBSIG_MULTIVERSION
double fold_part(double* sums, double* shares, std::int64_t size, double shift) {
  double lanes[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double deviation = sums[j + lane] - shift;
      const double square = deviation * deviation;
      lanes[lane] += square;
      shares[j + lane] += square;
      sums[j + lane] = 0.0;
    }
  }
  for (; j < size; ++j) {
    const double deviation = sums[j] - shift;
    lanes[0] += deviation * deviation;
    shares[j] += deviation * deviation;
    sums[j] = 0.0;
  }
  return total(lanes);
}

double fold(double* sums, double* shares, std::int64_t size, double shift) {
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < size; begin += kPart) {
    sum += fold_part(sums + begin, shares + begin, std::min(kPart, size - begin), shift);
  }
  return sum;
}

// How far each column's entries lie before a row; rows are asked for in rising order.
class Places {
 public:
  explicit Places(const RowsView& columns)
      : columns_(columns), next_(static_cast<std::size_t>(columns.rows()), -1) {}

  // Where row i's entry in column c is: the entries before it are those of lower rows.
  std::int64_t find(std::int64_t c, std::int64_t i) {
    std::int64_t& next = next_[static_cast<std::size_t>(c)];
    if (next < 0) next = first(c, i);
    return next++;
  }

 private:
  std::int64_t first(std::int64_t c, std::int64_t i) const {
    const std::int32_t* const ids = columns_.indices.data;
    return std::lower_bound(ids + columns_.indptr[c], ids + columns_.indptr[c + 1],
                            static_cast<std::int32_t>(i)) -
           ids;
  }

  const RowsView& columns_;
  std::vector<std::int64_t> next_;
};

}  // namespace

void gram_squares(const RowsView& rows, const RowsView& columns, double shift,
                  std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel, double* shares) {
  Sums sums(static_cast<std::size_t>(rows.rows()), 0.0);
  Places places(columns);
  for (std::int64_t i = row_begin; i < row_end && !cancel.set(); ++i) {
    for (std::int64_t k = rows.indptr[i]; k < rows.indptr[i + 1]; ++k) {
      const std::int64_t c = rows.indices[k];
      add_column(sums.data(), columns, columns.indptr[c], places.find(c, i), rows.values[k]);
    }
    shares[i] += fold(sums.data(), shares, i, shift);
  }
}

void gram_row_squares(const RowsView& rows, const RowsView& columns, double shift,
                      Span<std::int64_t> chosen, CancelFlag cancel, double* out) {
  Sums sums(static_cast<std::size_t>(rows.rows()), 0.0);
  Sums ignored(sums.size());
  for (std::int64_t n = 0; n < chosen.size && !cancel.set(); ++n) {
    const std::int64_t i = chosen[n];
    for (std::int64_t k = rows.indptr[i]; k < rows.indptr[i + 1]; ++k) {
      const std::int64_t c = rows.indices[k];
      add_column(sums.data(), columns, columns.indptr[c], columns.indptr[c + 1], rows.values[k]);
    }
    sums[static_cast<std::size_t>(i)] = shift;  // so that j = i adds exactly 0
    out[n] = fold(sums.data(), ignored.data(), rows.rows(), shift);
  }
}

}  // namespace probsig

#include "product.hpp"

#include <algorithm>
#include <vector>

#include "core/dispatch.hpp"
#include "core/prefetch.hpp"

namespace probsig {
namespace {

// Independent sums: the compiler may keep them in vector registers, and their order stays fixed.
constexpr std::int64_t kLanes = 16;
// Entries ahead whose rows are asked for: a row is some KiB, and lies anywhere.
constexpr std::int64_t kAhead = 2;
constexpr std::int64_t kLineDoubles = 8;

PROBSIG_MULTIVERSION
void add_scaled(double* sums, const double* row, double factor, std::int64_t size) {
  for (std::int64_t k = 0; k < size; ++k) sums[k] += factor * row[k];
}

PROBSIG_MULTIVERSION
double dot(const double* a, const double* b, std::int64_t size) {
  double lanes[kLanes] = {};
  std::int64_t k = 0;
  for (; k + kLanes <= size; k += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[k + lane] * b[k + lane];
  }
  double total = 0.0;
  for (; k < size; ++k) total += a[k] * b[k];
  for (const double lane : lanes) total += lane;
  return total;
}

void prefetch_row(const double* row, std::int64_t size) {
  for (std::int64_t k = 0; k < size; k += kLineDoubles) prefetch_read(row + k);
}

}  // namespace

double product_squares(const RowsView& columns, const DenseView& dense, std::int64_t begin,
                       std::int64_t end, CancelFlag cancel, double* shares) {
  std::vector<double> sums(static_cast<std::size_t>(dense.width));
  double* const m = sums.data();
  double total = 0.0;
  for (std::int64_t c = begin; c < end && !cancel.set(); ++c) {
    const std::int64_t first = columns.indptr[c];
    const std::int64_t last = columns.indptr[c + 1];
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::int64_t k = first; k < last; ++k) {
      if (k + kAhead < last) prefetch_row(dense.row(columns.indices[k + kAhead]), dense.width);
      add_scaled(m, dense.row(columns.indices[k]), columns.values[k], dense.width);
    }
    total += dot(m, m, dense.width);
    if (shares == nullptr) continue;
    for (std::int64_t k = first; k < last; ++k) {
      const std::int64_t i = columns.indices[k];
      shares[i] += columns.values[k] * dot(m, dense.row(i), dense.width);
    }
  }
  return total;
}

}  // namespace probsig

// Kernels that read tokens, each beside its definition.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "cpu/pairs.hpp"
#include "cpu/scan.hpp"
#include "cpu/sets.hpp"
#include "cpu/spans.hpp"
#include "support.hpp"

namespace harness {

constexpr std::uint8_t kRunning = 0;

template <class Token>
void try_scan(Draw& draw, int threads, std::int64_t most) {
  std::vector<Token> tokens = random_chunk<Token>(draw, most).tokens;
  const std::int64_t vocab_size = draw.one_of<std::int64_t>({1, 9, 300, 65536});
  const auto size = static_cast<std::int64_t>(tokens.size());
  const std::int64_t core = draw.between(0, size);
  std::set<Token> ids;
  for (auto n = draw.between(0, 6); n > 0; --n) {
    ids.insert(static_cast<Token>(draw.between(0, vocab_size + 3)));
  }
  const std::vector<Token> cutting(ids.begin(), ids.end());
  if (draw.chance(80)) {  // else most have an id outside
    for (Token& each : tokens) each = static_cast<Token>(each % vocab_size);
  }
  std::vector<std::int64_t> histogram(static_cast<std::size_t>(vocab_size), 0), cuts;
  std::int64_t invalid = -1;
  for (std::int64_t i = size - 1; i >= 0; --i) {
    const Token token = tokens[static_cast<std::size_t>(i)];
    const bool cuts_here = ids.count(token) > 0;
    if (cuts_here) cuts.insert(cuts.begin(), i);
    if (token >= vocab_size && !cuts_here) invalid = i;
    if (token < vocab_size && i < core) ++histogram[token];
  }
  together(threads, [&](int) {
    Scan got = scan(span(tokens), core, vocab_size, span(cutting));
    check(got.invalid == invalid, "scan: the lowest invalid position");
    if (invalid >= 0) return;
    check(to_vector(got.histogram) == histogram, "scan: the histogram");
    check(to_vector(got.cuts) == cuts, "scan: the cuts");
  });
}

template <class Token>
Cells pairs_of(const OwnedChunk<Token>& chunk, const std::vector<std::int64_t>& weights) {
  Cells cells;
  for (std::size_t run = 0; run < chunk.starts.size(); ++run) {
    for (auto i = chunk.starts[run]; i < std::min(chunk.ends[run], chunk.core); ++i) {
      for (std::size_t d = 1; d <= weights.size(); ++d) {
        const auto j = static_cast<std::size_t>(i) + d;
        if (j >= static_cast<std::size_t>(chunk.ends[run]) || weights[d - 1] == 0) continue;
        cells[{chunk.tokens[static_cast<std::size_t>(i)], chunk.tokens[j]}] += weights[d - 1];
      }
    }
  }
  return cells;
}

template <class Token>
void try_pairs(Draw& draw, int threads, std::int64_t most) {
  const auto chunk = random_chunk<Token>(draw, most);
  std::vector<std::int64_t> weights;
  const bool uniform = draw.chance(30);
  const std::int64_t large = INT64_MAX / 64 / std::max<std::int64_t>(chunk.core, 1);
  for (auto n = draw.between(1, draw.chance(10) ? 60 : 6); n > 0; --n) {
    weights.push_back(uniform ? 1 : draw.one_of<std::int64_t>({0, 1, 2, 65535, large}));
  }
  const Cells next = pairs_of(chunk, {1}), window = pairs_of(chunk, weights);
  together(threads, [&](int thread) {
    const CancelFlag flag(&kRunning);
    if (thread % 2 == 0) {
      PairBlock block = next_pairs(chunk.view(), flag);
      const auto cells = [](auto& counts) { return cells_of(counts); };
      check(std::visit(cells, block) == next, "next_pairs");
    }
    // Each thread counts its rows of what all share.
    const std::int64_t begin = chunk.vocab_size() * thread / threads;
    const std::int64_t end = chunk.vocab_size() * (thread + 1) / threads;
    const IdRange rows{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
    PairBlock block = window_pairs(chunk.view(), span(weights), rows, flag);
    const auto cells = [&](auto& counts) { return cells_of(counts, begin); };
    check(std::visit(cells, block) == rows_of(window, begin, end), "window_pairs");
  });
}

// Kernels that are told to end: what they give is thrown away, and nothing else happens.
template <class Token>
void try_cancel(Draw& draw, int threads, std::int64_t most) {
  const auto chunk = random_chunk<Token>(draw, most);
  const std::vector<std::int64_t> weights(20, 1);
  std::uint8_t cancelled = 0;
  together(threads + 1, [&](int thread) {
    const CancelFlag flag(&cancelled);
    if (thread == 0) {
      __atomic_store_n(&cancelled, std::uint8_t{1}, __ATOMIC_RELAXED);
      return;
    }
    next_pairs(chunk.view(), flag);
    const auto size = static_cast<std::uint32_t>(chunk.vocab_size());
    window_pairs(chunk.view(), span(weights), {0, size}, flag);
    prefix_spans(chunk.view(), 9, flag);
    sequence_sets(span(chunk.tokens), span(chunk.starts), span(chunk.ends), chunk.vocab_size(),
                  true, flag);
  });
}

using RowBounds = std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>>;

inline RowBounds rows_of(GroupedSpans& spans) {
  RowBounds rows(static_cast<std::size_t>(spans.indptr.size()) - 1);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (auto k = spans.indptr.data()[row]; k < spans.indptr.data()[row + 1]; ++k) {
      rows[row].push_back({spans.bounds.data()[k].begin, spans.bounds.data()[k].end});
    }
  }
  return rows;
}

template <class Token>
void try_prefix(Draw& draw, int threads, std::int64_t most) {
  const auto chunk = random_chunk<Token>(draw, most);
  const std::int64_t length = draw.one_of<std::int64_t>({1, 2, 30, 1 << 20});
  RowBounds expected(chunk.histogram.size());
  for (std::size_t run = 0; run < chunk.starts.size(); ++run) {
    for (auto i = chunk.starts[run]; i < std::min(chunk.ends[run], chunk.core); ++i) {
      const Token token = chunk.tokens[static_cast<std::size_t>(i)];
      std::int64_t end = i + 1;
      while (end < std::min(chunk.ends[run], i + 1 + length)) {
        if (chunk.tokens[static_cast<std::size_t>(end++)] == token) break;
      }
      expected[token].push_back(
          {static_cast<std::uint32_t>(i + 1), static_cast<std::uint32_t>(end)});
    }
  }
  together(threads, [&](int) {
    GroupedSpans spans = prefix_spans(chunk.view(), length, CancelFlag(&kRunning));
    check(rows_of(spans) == expected, "prefix_spans");
  });
}

template <class T>
Span<T> view_of(PodVector<T>& vector) {
  return {vector.data(), vector.size()};
}

// How sets are summed: any tokens may be heads, and any may be lined.
template <class Token>
struct Plan {
  std::vector<Token> heads;
  std::vector<std::uint8_t> lined;

  Plan(Draw& draw, std::int64_t vocab_size) {
    const int share = draw.one_of<int>({0, 30, 100});
    for (std::int64_t id = 0; id < vocab_size; ++id) {
      if (draw.chance(share)) heads.push_back(static_cast<Token>(id));
    }
    for (std::int64_t id = 0; id < vocab_size; ++id) {
      lined.push_back(!heads.empty() && draw.chance(80));
    }
  }
};

// Sets of runs, and which of them hold both of two tokens.
template <class Token, class Number>
void try_sets_with(Draw& draw, int threads, std::int64_t most) {
  auto chunk = random_chunk<Token>(draw, most);
  if (draw.chance(25)) {  // many short sets of few ids
    chunk.histogram.assign(100, 0);
    chunk.tokens.clear();
    chunk.starts.clear();
    chunk.ends.clear();
    for (std::int64_t set = draw.between(500, 700); set > 0; --set) {
      chunk.starts.push_back(static_cast<std::int64_t>(chunk.tokens.size()));
      for (auto n = draw.between(0, 30); n > 0; --n) {
        chunk.tokens.push_back(static_cast<Token>(draw.between(0, draw.chance(90) ? 79 : 99)));
      }
      chunk.ends.push_back(static_cast<std::int64_t>(chunk.tokens.size()));
    }
  }
  const std::int64_t vocab_size = chunk.vocab_size();
  std::vector<std::int64_t> indptr{0}, multiplicity;
  std::vector<Token> ids;
  Cells cells;
  for (std::size_t run = 0; run < chunk.starts.size(); ++run) {
    std::map<Token, std::int64_t> held;
    for (auto i = chunk.starts[run]; i < chunk.ends[run]; ++i) {
      ++held[chunk.tokens[static_cast<std::size_t>(i)]];
    }
    for (auto one = held.begin(); one != held.end(); ++one) {
      ids.push_back(one->first);
      multiplicity.push_back(one->second);
      if (held.size() > 200) continue;  // too slow; its pairs are not compared
      for (auto other = one; other != held.end(); ++other) ++cells[{one->first, other->first}];
    }
    indptr.push_back(static_cast<std::int64_t>(ids.size()));
    if (held.size() > 200) return;
  }
  SetTotals totals = set_totals(span(indptr), span(ids), vocab_size);
  const Plan<Token> plan(draw, vocab_size);
  SetIndex<Token, Number> shared = set_index<Token, Number>(
      span(indptr), span(ids), view_of(totals.frequency), span(plan.heads), span(plan.lined));
  const SetIndexView<Token, Number> view{span(indptr),           span(ids),
                                         view_of(shared.indptr), view_of(shared.members),
                                         view_of(shared.tails),  view_of(shared.tail_ends),
                                         view_of(shared.lines)};
  together(threads, [&](int thread) {
    const CancelFlag flag(&kRunning);
    auto sets = sequence_sets(span(chunk.tokens), span(chunk.starts), span(chunk.ends), vocab_size,
                              thread % 2 == 0, flag);
    check(to_vector(sets.indptr) == indptr && to_vector(sets.ids) == ids, "sequence_sets");
    if (thread % 2 == 0) check(to_vector(sets.multiplicity) == multiplicity, "multiplicities");
    // Each thread sums its rows of what all share.
    const std::int64_t begin = vocab_size * thread / threads;
    const std::int64_t end = vocab_size * (thread + 1) / threads;
    NarrowBlockBuilder block(end - begin);
    set_sums<Token, Number>({view}, span(plan.heads), span(plan.lined), view_of(totals.row_sums),
                            begin, end, flag, block);
    check(cells_of(block, begin) == rows_of(cells, begin, end), "set_sums");
  });
}

template <class Token>
void try_sets(Draw& draw, int threads, std::int64_t most) {
  const auto any = draw.chance(50) ? &try_sets_with<Token, std::uint16_t>
                                   : &try_sets_with<Token, std::uint32_t>;
  any(draw, threads, most);
}

template <class Token>
void try_group(Draw& draw, int threads, std::int64_t most) {
  const std::int64_t n_rows = draw.between(1, 300);
  std::vector<Token> rows;
  std::vector<Bounds> bounds;
  RowBounds expected(static_cast<std::size_t>(n_rows));
  for (auto n = draw.between(0, most); n > 0; --n) {
    const auto row = static_cast<Token>(draw.between(0, n_rows - 1));
    const auto begin = static_cast<std::uint32_t>(draw.between(0, 1 << 30));
    rows.push_back(row);
    bounds.push_back({begin, begin + 3});
    expected[row].push_back({begin, begin + 3});
  }
  together(threads, [&](int) {
    GroupedSpans spans = group_spans(span(rows), span(bounds), n_rows);
    check(rows_of(spans) == expected, "group_spans");
  });
}

}  // namespace harness

// Runs one kernel on fixed tokens, for a program that counts the instructions within `measured`:
// kernels NAME VOCABULARY prints how many tokens (of merge: entries) those were; without arguments,
// what compiled it and the names.

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "corpus.hpp"
#include "cpu/merge.hpp"
#include "cpu/pairs.hpp"
#include "cpu/scan.hpp"
#include "cpu/sets.hpp"
#include "cpu/spans.hpp"

#if defined(__clang__)
#define COMPILER "clang-" << __clang_major__
#else
#define COMPILER "gcc-" << __GNUC__
#endif
#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "other"
#endif

// Known by name to the program that counts, clones included; what is outside it is not counted.
extern "C" __attribute__((noinline)) void measured(const std::function<void()>& body) { body(); }

namespace instructions {
namespace {

using namespace probsig;
using harness::span;

constexpr std::uint8_t kRunning = 0;
const CancelFlag kFlag(&kRunning);

template <class T>
Span<T> span_of(PodVector<T>& values) {
  return {values.data(), values.size()};
}

BlockView view_of(NarrowBlockBuilder& block) {
  return {span_of(block.indptr), span_of(block.indices), {}, span_of(block.data)};
}

// All rows of the sums of one part.
void sum(const SpansView<Token>& part, std::int64_t vocab_size) {
  BlockBuilder block(vocab_size);
  span_sums<Token>({part}, vocab_size, 0, vocab_size, kFlag, block);
}

// ---- One function a kernel: it gives how much was counted --------------------------------------

std::int64_t run_scan(std::int64_t vocab_size) {
  const Tokens chunk = corpus(300'000, vocab_size);
  const std::vector<Token> cutting{0};
  measured([&] { scan(span(chunk.tokens), chunk.core, vocab_size, span(cutting)); });
  return chunk.core;
}

std::int64_t run_next_pairs(std::int64_t vocab_size) {
  const Tokens chunk = corpus(300'000, vocab_size);
  measured([&] { next_pairs(chunk.view(), kFlag); });
  return chunk.core;
}

std::int64_t run_window_pairs(std::int64_t vocab_size) {
  const Tokens chunk = corpus(300'000, vocab_size);
  const std::vector<std::int64_t> weights(10, 1);
  const IdRange rows{0, static_cast<std::uint32_t>(vocab_size)};
  measured([&] { window_pairs(chunk.view(), span(weights), rows, kFlag); });
  return chunk.core;
}

std::int64_t run_prefix(std::int64_t vocab_size) {
  const Tokens chunk = corpus(100'000, vocab_size);
  measured([&] {
    GroupedSpans spans = prefix_spans(chunk.view(), 256, kFlag);
    sum({span(chunk.tokens), {}, span_of(spans.indptr), span_of(spans.bounds), {}}, vocab_size);
  });
  return chunk.core;
}

std::int64_t run_sets(std::int64_t vocab_size) {
  const Tokens chunk = corpus(100'000, vocab_size);
  measured([&] {
    auto sets = sequence_sets(span(chunk.tokens), span(chunk.starts), span(chunk.ends), vocab_size,
                              false, kFlag);
    SetTotals totals = set_totals<Token>(span_of(sets.indptr), span_of(sets.ids), vocab_size);
    std::vector<Token> heads;
    std::vector<std::uint8_t> lined;
    for (std::int64_t id = 0; id < vocab_size; ++id) {
      // About as many as in a count: tokens in one of 24 sets.
      const bool is_head = totals.frequency.data()[id] * 24 >= chunk.view().run_starts.size;
      lined.push_back(is_head);
      if (is_head) heads.push_back(static_cast<Token>(id));
    }
    auto index = set_index<Token, std::uint16_t>(span_of(sets.indptr), span_of(sets.ids),
                                                 span_of(totals.frequency), span(heads),
                                                 span(lined));
    const SetIndexView<Token, std::uint16_t> view{
        span_of(sets.indptr), span_of(sets.ids),       span_of(index.indptr),
        span_of(index.members), span_of(index.tails), span_of(index.tail_ends),
        span_of(index.lines)};
    NarrowBlockBuilder block(vocab_size);
    set_sums<Token, std::uint16_t>({view}, span(heads), span(lined), span_of(totals.row_sums), 0,
                                   vocab_size, kFlag, block);
  });
  return chunk.core;
}

std::int64_t run_merge(std::int64_t vocab_size) {
  const std::int64_t parts = 8;
  const Tokens chunk = corpus(300'000, vocab_size);
  std::vector<NarrowBlockBuilder> blocks;
  std::vector<BlockView> views;
  std::int64_t entries = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    Chunk<Token> piece = chunk.view();
    const std::int64_t runs = piece.run_starts.size;
    const std::int64_t begin = runs * part / parts, end = runs * (part + 1) / parts;
    piece.run_starts = {piece.run_starts.data + begin, end - begin};
    piece.run_ends = {piece.run_ends.data + begin, end - begin};
    blocks.push_back(std::get<NarrowBlockBuilder>(next_pairs(piece, kFlag)));
  }
  for (NarrowBlockBuilder& block : blocks) {
    views.push_back(view_of(block));
    entries += block.data.size();
  }
  measured([&] { merge(views, vocab_size); });
  return entries;
}

const std::map<std::string, std::int64_t (*)(std::int64_t)> kKernels{
    {"scan", run_scan},     {"next_pairs", run_next_pairs}, {"window_pairs", run_window_pairs},
    {"prefix", run_prefix}, {"sets", run_sets},             {"merge", run_merge},
};

}  // namespace
}  // namespace instructions

int main(int argc, char** argv) {
  using namespace instructions;
  if (argc != 3) {
    std::cout << COMPILER << "-" MACHINE "\n";
    for (const auto& kernel : kKernels) std::cout << kernel.first << "\n";
    return 0;
  }
  std::cout << kKernels.at(argv[1])(std::atoll(argv[2])) << "\n";
  return 0;
}

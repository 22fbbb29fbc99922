// Runs every CPU kernel from several threads at once, over inputs that all of them read, and compares
// what each gives with its definition: harness SECONDS [SEED [CASES]], or harness --plant FAULT.
//
// Built with a sanitizer, it finds what the threads of a Python pool could do to each other: Python
// itself is not built with one. Each case has a seed, which is printed where it fails.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "block_kernels.hpp"
#include "token_kernels.hpp"

namespace harness {
namespace {

struct Kind {
  std::string name;
  std::function<void(Draw&, int, std::int64_t)> run;
};

const std::vector<Kind>& kinds() {
  using A = std::uint16_t;
  using B = std::uint32_t;
  static const std::vector<Kind> all{
      {"scan", try_scan<A>},           {"scan of 32 bits", try_scan<B>},
      {"pairs", try_pairs<A>},         {"pairs of 32 bits", try_pairs<B>},
      {"prefix", try_prefix<A>},       {"prefix of 32 bits", try_prefix<B>},
      {"sets", try_sets<A>},           {"sets of 32 bits", try_sets<B>},
      {"span sums", try_span_sums<A>}, {"span sums of 32 bits", try_span_sums<B>},
      {"groups", try_group<A>},        {"groups of 32 bits", try_group<B>},
      {"cancel", try_cancel<A>},       {"cancel of 32 bits", try_cancel<B>},
      {"merge", try_merge},            {"damaged", try_damaged},
      {"gram", try_gram},
  };
  return all;
}

void run_case(std::uint64_t seed) {
  Draw draw(seed);
  const Kind& kind = kinds()[seed % kinds().size()];
  // Rarely so many that arrays are mapped, and grow by being mapped elsewhere.
  const std::int64_t most = draw.chance(2) ? 200'000 : draw.one_of<std::int64_t>({9, 300, 3000});
  try {
    kind.run(draw, static_cast<int>(draw.between(1, 4)), most);
  } catch (const std::exception& error) {
    std::cerr << "harness: seed " << seed << ", " << kind.name << ": " << error.what() << "\n";
    std::exit(1);
  }
}

int run_cases(double seconds, std::uint64_t seed, std::uint64_t most) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::uint64_t cases = 0;
  for (; cases < most && (elapsed() < seconds || cases < kinds().size()); ++cases) {
    run_case(seed + cases);
  }
  std::cout << "harness: " << cases << " cases of " << kinds().size() << " kinds, seeds " << seed
            << " to " << seed + cases - 1 << "\n";
  return 0;
}

// Faults made on purpose: a sanitizer that says nothing of them says nothing at all.
int plant(const std::string& fault) {
  if (fault == "race") {
    std::int64_t shared = 0;
    together(2, [&](int) {
      for (int i = 0; i < 1000; ++i) shared = shared + 1;
    });
    std::cout << shared << "\n";
  } else if (fault == "overflow") {  // of an array that a kernel is told to be longer than it is
    std::vector<std::uint16_t> tokens(100, 0);
    const std::vector<std::uint16_t> none;
    scan<std::uint16_t>({tokens.data(), 101}, 100, 5, span(none));
  } else if (fault == "undefined") {
    volatile std::int64_t most = std::numeric_limits<std::int64_t>::max();
    std::cout << most + 1 << "\n";
  } else if (fault == "wrong") {
    const Block two = Block::of({{{0, 1}, 2}}, 1);
    BlockBuilder block = merge({two.view(), two.view()}, 2);
    check(cells_of(block) == Cells{{{0, 1}, 5}}, "merge");
  } else {
    std::cerr << "harness: expected race, overflow, undefined or wrong, got '" << fault << "'\n";
    return 2;
  }
  return 0;
}

int planted(const std::string& fault) {
  try {
    return plant(fault);
  } catch (const std::logic_error& error) {
    std::cerr << "harness: " << error.what() << "\n";
    return 1;
  }
}

}  // namespace
}  // namespace harness

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--plant") == 0) return harness::planted(argv[2]);
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const std::uint64_t cases = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : UINT64_MAX;
  return harness::run_cases(seconds, seed, cases);
}

// Errors of entries that may come from a damaged file, and of sums that do not fit.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace probsig {

[[noreturn]] inline void throw_outside(std::int64_t columns, std::int64_t index) {
  throw std::out_of_range("counts: expected column ids from 0 to " + std::to_string(columns - 1) +
                          ", got " + std::to_string(index) + ": damaged");
}

[[noreturn]] inline void throw_below_one(std::int64_t count) {
  throw std::invalid_argument("counts: expected counts above 0, got " + std::to_string(count) +
                              ": damaged");
}

[[noreturn]] inline void throw_overflow() {
  throw std::overflow_error("a sum of counts passed 2^63 - 1");
}

}  // namespace probsig

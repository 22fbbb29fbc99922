// Checks of the emulator itself: `selftest` runs those that must pass, `selftest NAME` one fault.

#include <functional>

#include "selftest/algorithms.hpp"
#include "selftest/faults.hpp"
#include "selftest/kernels.hpp"
#include "selftest/runtime.hpp"

int main(int count, char** arguments) {
  if (count == 2) return run_fault(arguments[1]) ? 0 : 2;
  check_sums();
  check_barriers();
  check_indices();
  check_warps();
  check_atomics();
  check_algorithms();
  check_runtime();
  std::puts("passed");
}

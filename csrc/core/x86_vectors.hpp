// The vectors of x86 written by hand, where PROBSIG_X86_VECTORS is defined.
#pragma once

#include "dispatch.hpp"

#if defined(PROBSIG_X86_VECTORS)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // of GCC 12's own headers
#endif
#endif

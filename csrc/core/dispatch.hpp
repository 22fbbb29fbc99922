// One function body compiled for several instruction sets, chosen when the module is loaded.
#pragma once

// Where wider vectors than the baseline's can be written by hand, and chosen at run time. Tests of
// what other machines do define PROBSIG_PLAIN.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(PROBSIG_PLAIN)
#define PROBSIG_X86_VECTORS
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PROBSIG_MULTIVERSION __attribute__((target_clones("avx2", "default")))
#else
#define PROBSIG_MULTIVERSION
#endif

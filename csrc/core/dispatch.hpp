// One function body compiled for several instruction sets, chosen when the module is loaded.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PROBSIG_MULTIVERSION __attribute__((target_clones("avx2", "default")))
#else
#define PROBSIG_MULTIVERSION
#endif

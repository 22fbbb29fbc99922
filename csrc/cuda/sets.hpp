// The sets of tokens that runs hold.
#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "device.hpp"

namespace probsig::gpu {

template <class Id>
struct DeviceSets {
  DeviceArray<std::int64_t> indptr;
  DeviceArray<Id> ids;
  DeviceArray<std::int64_t> multiplicity;  // empty where not asked for
};

// The tokens of each run, sorted and each once; all below the vocabulary size. Runs are on the
// host. With 2^31 - 1 tokens in them or more, DeviceError is thrown.
template <class Token>
DeviceSets<Token> sequence_sets(Span<Token> tokens, Span<std::int64_t> run_starts,
                                Span<std::int64_t> run_ends, std::int64_t vocab_size,
                                bool multiplicity, CancelFlag cancel);

}  // namespace probsig::gpu

// An emulator of the CUDA runtime and of device code, for tests on machines without a GPU.
#pragma once

#include "emulator/intrinsics.hpp"
#include "emulator/launch.hpp"
#include "emulator/memory_functions.hpp"
#include "emulator/streams.hpp"
#include "emulator/sync.hpp"
#include "emulator/types.hpp"

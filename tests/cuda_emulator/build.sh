#!/usr/bin/env bash
# Builds the module _cuda for the emulated device, for the active Python (which has pybind11):
# build.sh [OUT], by default into `build` beside this file. CMAKE_ARGS: more options, such as
# -DPROBSIG_EMULATOR_SANITIZE=ON.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/build}
mkdir -p "$out"
out=$(cd "$out" && pwd)
generator=()
if [ ! -f "$out/cmake/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  generator=(-G Ninja)
fi
# shellcheck disable=SC2086 # several options
cmake -S "$here" -B "$out/cmake" "${generator[@]}" \
  -DPython_EXECUTABLE="$(python -c 'import sys; print(sys.executable)')" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" \
  -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$out" ${CMAKE_ARGS:-}
cmake --build "$out/cmake" --parallel "${JOBS:-2}"
ls "$out"/_cuda*.so

# Builds the module _cuda, a project of its own in csrc/cuda, and records whether that succeeded. A
# CUDA compiler that does not work and an error in the sources end here, in that record; with
# `required` they are errors. Run by CMakeLists.txt, which defines: source_dir, build_dir, generator,
# compiler, record_file, required.
include("${CMAKE_CURRENT_LIST_DIR}/record.cmake")

set(log "${build_dir}/build.log")
set(ENV{LC_ALL} C) # messages in English and in ASCII

# step(MISSING COMMAND...): run a command; where it fails, show its output, record MISSING, and stop.
macro(step missing)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_FILE "${log}" ERROR_FILE "${log}")
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE "${build_dir}/module") # of an earlier build
    file(READ "${log}" output)
    message(NOTICE "${output}")
    first_error(error)
    if(required)
      message(FATAL_ERROR "PROBSIG_CUDA=ON, but ${missing}${error}")
    endif()
    record_module(_cuda "${missing}"
      "${error} (PROBSIG_CUDA=ON pip install . shows the whole message)")
    return()
  endif()
endmacro()

# The first line of the log that tells of an error, after ": "; or nothing.
function(first_error result)
  file(STRINGS "${log}" error LIMIT_COUNT 1
    REGEX "[ :#](error|fatal)[ :]|undefined reference|cannot find")
  string(REPLACE "${source_dir}/" "" error "${error}")
  string(REGEX REPLACE "[ \t]+" " " error "${error}")
  string(STRIP "${error}" error)
  string(SUBSTRING "${error}" 0 240 error)
  if(NOT error STREQUAL "")
    string(PREPEND error ": ")
  endif()
  set(${result} "${error}" PARENT_SCOPE)
endfunction()

step("the CUDA compiler ${compiler} did not work"
  "${CMAKE_COMMAND}" -S "${source_dir}/csrc/cuda" -B "${build_dir}" -G "${generator}"
  -C "${build_dir}/settings.cmake")
file(READ "${build_dir}/cuda_version.txt" version)
step("CUB of CUDA ${version} was missing or too old"
  "${CMAKE_COMMAND}" --build "${build_dir}" --target probe)
step("the CUDA sources did not compile"
  "${CMAKE_COMMAND}" --build "${build_dir}")
record_module(_cuda "" "")

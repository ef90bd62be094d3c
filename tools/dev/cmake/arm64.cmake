# SPDX-License-Identifier: Apache-2.0
# The arm64 build: native on an arm64 machine, else Debian's cross compiler
# with the arm64 -dev packages that tools/setup unpacked into build/sysroot
# (they cannot be installed beside the amd64 ones).
cmake_host_system_information(RESULT host_processor QUERY OS_PLATFORM)
if(NOT host_processor MATCHES "^(aarch64|arm64)$")
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
  set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
  set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
  set(CMAKE_STRIP aarch64-linux-gnu-strip)
  get_filename_component(parkvmm_sysroot
    ${CMAKE_CURRENT_LIST_DIR}/../../../build/sysroot ABSOLUTE)
  set(CMAKE_FIND_ROOT_PATH ${parkvmm_sysroot})
  set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
  set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
  set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
  set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${parkvmm_sysroot}/usr/include)
  set(CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES ${parkvmm_sysroot}/usr/include)
endif()
set(ZLIB_USE_STATIC_LIBS ON)
# Read by project(); see there why.
set(CMAKE_PROJECT_INCLUDE ${CMAKE_CURRENT_LIST_DIR}/archives.cmake)
# Nothing is loaded at run time, so no binary needs to know this machine's paths.
set(CMAKE_SKIP_RPATH ON)

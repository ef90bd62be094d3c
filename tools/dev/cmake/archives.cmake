# SPDX-License-Identifier: Apache-2.0
# Links packages statically whose Debian CMake files name only the shared
# library, although the archive lies beside it (Abseil). Runs at the end of the
# top CMakeLists.txt, when every find_package() has been called.
include_guard(GLOBAL)

function(parkvmm_link_archives)
  get_directory_property(targets DIRECTORY ${CMAKE_SOURCE_DIR} IMPORTED_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    get_target_property(library ${target} LOCATION)
    if(NOT type STREQUAL "SHARED_LIBRARY" OR NOT library MATCHES "\\.so[.0-9]*$")
      continue()
    endif()
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${library})
    if(NOT EXISTS ${archive})
      message(FATAL_ERROR "${target}: ${library} has no archive beside it, so it "
        "cannot go into a static binary")
    endif()
    get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
    foreach(configuration ${configurations})
      set_target_properties(${target} PROPERTIES
        IMPORTED_LOCATION_${configuration} ${archive})
    endforeach()
  endforeach()
endfunction()

if(PARKVMM_STATIC)
  cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL parkvmm_link_archives)
endif()

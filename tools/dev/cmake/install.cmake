# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` installs, and what CPack makes a Debian package of.
#
# There are two components. `vmm` is the program with its manual, and what is
# installed by default. `tree` is the front door with all that it emulates an
# arm64 host with: what a bundle and the package for other machines hold. The
# latter has to be asked for, and takes the kernel and busybox of `tools/setup
# guest`.
include(GNUInstallDirs)
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(PARKVMM_MAINTAINER "parkvmm maintainers" CACHE STRING
  "Who answers for a Debian package: a name, and an address in angle brackets")

# The manual, completions and licences are made when they are installed: a build
# needs no scdoc.
function(parkvmm_install_share component)
  set(folder ${CMAKE_BINARY_DIR}/share-${component})
  install(CODE "execute_process(
    COMMAND \"${Python3_EXECUTABLE}\" -B -m parkvmm.packages.share --version ${PROJECT_VERSION}
      --kind ${component} --commit \"${PARKVMM_COMMIT}\" \"${folder}\"
    WORKING_DIRECTORY \"${CMAKE_SOURCE_DIR}/tools\"
    COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component} ${ARGN})
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_DATADIR}
    COMPONENT ${component} ${ARGN})
endfunction()

install(TARGETS vmm DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT vmm)
parkvmm_install_share(vmm)

parkvmm_install_share(tree EXCLUDE_FROM_ALL)
install(TARGETS vmm guest-init host-unpack DESTINATION lib/parkvmm/bin
  COMPONENT tree EXCLUDE_FROM_ALL)
foreach(file Image config busybox packages.json)
  install(FILES ${CMAKE_SOURCE_DIR}/build/guest/debian/${file}
    DESTINATION lib/parkvmm/guest COMPONENT tree EXCLUDE_FROM_ALL)
endforeach()
set(tools ${CMAKE_SOURCE_DIR}/tools)
install(PROGRAMS ${tools}/vmm ${tools}/vmm-demo ${tools}/kernel
  DESTINATION lib/parkvmm/tools COMPONENT tree EXCLUDE_FROM_ALL)
# Rooms of the package as a whole, and of others what these import.
set(python ${tools}/parkvmm/debian/__init__.py ${tools}/parkvmm/debian/apt.py
  ${tools}/parkvmm/debian/kernels.py ${tools}/parkvmm/debian/lock.py
  ${tools}/parkvmm/guest/__init__.py ${tools}/parkvmm/guest/image.py
  ${tools}/parkvmm/guest/run.py)
foreach(pattern *.py cases/*.py front/*.py host/*.py host/init)
  file(GLOB found CONFIGURE_DEPENDS ${tools}/parkvmm/${pattern})
  list(APPEND python ${found})
endforeach()
foreach(file ${python})
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(file MATCHES "/host/init$")
    set(kind PROGRAMS)
  else()
    set(kind FILES)
  endif()
  install(${kind} ${file} DESTINATION lib/parkvmm/${folder} COMPONENT tree EXCLUDE_FROM_ALL)
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/installed.json CONTENT
  "{\"version\": \"${PROJECT_VERSION}\", \"commit\": \"${PARKVMM_COMMIT}\"}\n")
install(FILES ${CMAKE_BINARY_DIR}/installed.json DESTINATION lib/parkvmm
  COMPONENT tree EXCLUDE_FROM_ALL)
foreach(command vmm vmm-demo)
  install(CODE "
    set(link \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${command}\")
    cmake_path(GET link PARENT_PATH folder)
    file(MAKE_DIRECTORY \${folder})
    file(CREATE_LINK ../lib/parkvmm/tools/${command} \${link} SYMBOLIC)"
    COMPONENT tree EXCLUDE_FROM_ALL)
endforeach()

# cpack -G DEB in the build folder makes the package of the component `vmm`;
# tools/release makes that of the other.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME parkvmm)
set(CPACK_PACKAGE_CONTACT ${PARKVMM_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "boots AArch64 kernels under KVM and follows each kexec")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"vmm is a small virtual machine monitor. It boots an AArch64 kernel under KVM,
follows each kexec CPU by CPU, and says which phase took the time and which
CPUs came back. On arm64 it needs Linux 6.4 or newer and a usable /dev/kvm;
elsewhere it emulates an arm64 machine by QEMU.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_layout.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
set(CPACK_DEBIAN_PACKAGE_SECTION misc)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# One package of one component, whichever that is.
set(CPACK_INSTALL_CMAKE_PROJECTS ${CMAKE_BINARY_DIR} parkvmm vmm /)
include(CPack)

// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_FAIL_H_
#define PARKVMM_TOOLS_HOST_UNPACK_FAIL_H_

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace host_unpack {

// Ends the program with a line on stderr.
[[noreturn]] inline void Fail(const std::string& what) {
  std::fprintf(stderr, "host-unpack: %s\n", what.c_str());
  std::exit(EXIT_FAILURE);
}

// The same, with what errno says.
[[noreturn]] inline void FailErrno(const std::string& what) {
  Fail(what + ": " + std::strerror(errno));
}

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_FAIL_H_

// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <iostream>

#include "vmm/cli/command_line.h"
#include "vmm/run/exit_code.h"

// Our own code throws nothing; the standard library may run out of memory.
int main(int argc, char** argv) try {
  return static_cast<int>(vmm::RunCommandLine(argc, argv));
} catch (const std::exception& exception) {
  std::cerr << "vmm: error: " << exception.what() << "\n";
  return static_cast<int>(vmm::ExitCode::kVmmBug);
}

// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/program.h"

int main(int argc, char** argv) { return vmm::RunProgram(argc, argv); }

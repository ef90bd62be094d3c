// SPDX-License-Identifier: Apache-2.0
// host-unpack DIRECTORY WAKE: what the init of the emulated host runs when the
// machine is up. The machine stops here, to be saved; whoever goes on unpacks a
// command's files. See tools/parkvmm/host/init.
#include <cstdlib>
#include <optional>
#include <string>

#include "tools/host-unpack/archive.h"
#include "tools/host-unpack/door.h"
#include "tools/host-unpack/fail.h"
#include "tools/host-unpack/firmware_config.h"

int main(int argc, char** argv) {
  if (argc != 3) host_unpack::Fail("usage: host-unpack DIRECTORY WAKE");
  host_unpack::StopMachine(argv[2]);
  host_unpack::RearmTimers();
  host_unpack::FirmwareConfig source;
  const std::optional<std::string> error = host_unpack::Unpack(source, argv[1]);
  if (error) host_unpack::Fail(*error);
  return EXIT_SUCCESS;
}

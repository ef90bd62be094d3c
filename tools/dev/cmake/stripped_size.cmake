# SPDX-License-Identifier: Apache-2.0
# Says how large BINARY is without its symbols: what a bare initramfs carries.
execute_process(COMMAND ${STRIP} -o ${BINARY}.stripped ${BINARY}
  COMMAND_ERROR_IS_FATAL ANY)
file(SIZE ${BINARY}.stripped size)
file(REMOVE ${BINARY}.stripped)
math(EXPR kib "${size} / 1024")
message(STATUS "vmm, stripped: ${kib} KiB")

# SPDX-License-Identifier: Apache-2.0
# Puts what CPack has installed where Debian's policy wants it.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)
# The licence's text is where `copyright` says: every Debian system has it.
file(REMOVE ${share}/doc/parkvmm/LICENSE)
file(RENAME ${share}/doc/parkvmm/CHANGELOG.md ${share}/doc/parkvmm/changelog)
execute_process(COMMAND gzip -9n ${share}/doc/parkvmm/changelog COMMAND_ERROR_IS_FATAL ANY)

# SPDX-License-Identifier: Apache-2.0
"""tools/arm64-host: an arm64 machine with KVM, this one or an emulated one."""

# SPDX-License-Identifier: Apache-2.0
"""tools/vmm: the words of `vmm`, on any machine."""

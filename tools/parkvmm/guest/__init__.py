# SPDX-License-Identifier: Apache-2.0
"""What a measured guest is made of: kernels, its initramfs, its command line."""

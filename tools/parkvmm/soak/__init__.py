# SPDX-License-Identifier: Apache-2.0
"""Many kexecs in a row, of many kinds."""

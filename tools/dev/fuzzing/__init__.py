# SPDX-License-Identifier: Apache-2.0
"""What tools/fuzz is made of."""

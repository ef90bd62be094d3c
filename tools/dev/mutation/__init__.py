# SPDX-License-Identifier: Apache-2.0
"""The mutation check of tools/dev/mutate."""

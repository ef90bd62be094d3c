# SPDX-License-Identifier: Apache-2.0
"""What parkvmm brings for CI systems: the steps of action.yml."""

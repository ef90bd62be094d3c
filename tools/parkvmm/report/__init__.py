# SPDX-License-Identifier: Apache-2.0
"""Presents results: tools/report and tools/compare."""

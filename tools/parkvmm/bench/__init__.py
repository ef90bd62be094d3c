# SPDX-License-Identifier: Apache-2.0
"""Measures what a plan asks for: tools/bench, tools/bench-micro and tools/demo --arms."""

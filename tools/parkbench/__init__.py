# SPDX-License-Identifier: Apache-2.0
"""What tools/bench, tools/report and tools/compare are made of; README.md."""

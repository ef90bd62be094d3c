# SPDX-License-Identifier: Apache-2.0
"""What was tested, in the formats of CI systems."""

# SPDX-License-Identifier: Apache-2.0
"""What the commands in tools/ share."""

import sys

if sys.version_info < (3, 11):  # Before anything is imported that an older one cannot read.
    print(f"parkvmm needs Python 3.11 or newer, and {sys.executable} is "
          f"{sys.version_info[0]}.{sys.version_info[1]}; run it with a newer one", file=sys.stderr)
    sys.exit(69)

# SPDX-License-Identifier: Apache-2.0
"""tools/release: manual, completions, and what is handed to users."""

# SPDX-License-Identifier: Apache-2.0
"""Debian packages that are unpacked below build/ and never installed."""

# SPDX-License-Identifier: Apache-2.0
"""Programs that are made up."""

import subprocess


class Done:
    """Stands for subprocess.run, and keeps the commands."""

    def __init__(self, status: int = 0, stdout: str = "", stderr: str = "") -> None:
        self.commands: list[list[str]] = []
        self.status, self.stdout, self.stderr = status, stdout, stderr

    def __call__(self, words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(words)
        return subprocess.CompletedProcess(words, self.status, self.stdout, self.stderr)

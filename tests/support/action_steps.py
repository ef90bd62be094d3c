# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of action.yml as GitHub's runner would, without one.

It knows what action.yml uses: `run` steps of bash, their environment, expressions of inputs,
outputs and toJSON, and the files that steps write to. Steps that use another action are passed
over.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from arm64_host import ROOT

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
Shell = Callable[[str, dict[str, str]], int]  # runs a script with variables; its status


def action() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return document


@dataclasses.dataclass
class Job:
    """A job of one step that uses the action. Paths are as its shell sees them."""
    inputs: dict[str, str]
    shell: Shell
    temp: pathlib.Path  # RUNNER_TEMP, as this process sees it
    temp_inside: str  # as the shell does
    tool_cache: str
    action_path: str
    context: Mapping[str, str]  # of `github`
    outputs: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def value(self, expression: str) -> str:
        if found := re.fullmatch(r"inputs\.([\w-]+)", expression):
            return self.inputs[found[1]]
        if found := re.fullmatch(r"steps\.([\w-]+)\.outputs\.([\w-]+)", expression):
            return self.outputs.get(found[1], {}).get(found[2], "")
        if found := re.fullmatch(r"github\.([\w-]+)", expression):
            return self.context.get(found[1], "")
        assert expression == "toJSON(inputs)", expression
        return json.dumps(self.inputs)

    def expand(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self.value(found[1]), text)

    def run(self) -> int:
        """Returns the status of the first step that fails."""
        document = action()
        self.inputs = {name: self.inputs.get(name, str(one.get("default", "")))
                       for name, one in document["inputs"].items()}
        for number, step in enumerate(document["runs"]["steps"]):
            if "run" not in step:
                continue
            assert step["shell"] == "bash" and "if" not in step
            output = f"output-{number}"
            (self.temp / output).touch()
            environment = {name: self.expand(value) for name, value in step.get("env", {}).items()}
            environment |= {
                "GITHUB_ACTION_PATH": self.action_path, "RUNNER_TEMP": self.temp_inside,
                "RUNNER_TOOL_CACHE": self.tool_cache,
                "GITHUB_OUTPUT": f"{self.temp_inside}/{output}",
                "GITHUB_STEP_SUMMARY": f"{self.temp_inside}/summary.md",
                "GITHUB_SERVER_URL": self.context.get("server_url", "")}
            if status := self.shell(self.expand(step["run"]), environment):
                return status
            lines = (self.temp / output).read_text().splitlines()
            self.outputs[step.get("id", str(number))] = dict(
                line.split("=", 1) for line in lines)
        return 0

    def result(self, name: str) -> str:
        """Returns an output of the action."""
        return self.expand(action()["outputs"][name]["value"])

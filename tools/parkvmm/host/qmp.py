# SPDX-License-Identifier: Apache-2.0
"""Talks to QEMU's monitor, by QMP."""

import json
import select
import socket
import time
from typing import Any


class Gone(Exception):
    """QEMU has closed the connection: it has ended, or is about to."""


class Refused(Exception):
    """QEMU answered a command with an error."""


class Monitor:
    """One end of a connection whose other end QEMU has.

    Each method takes a deadline on the monotonic clock, and raises TimeoutError once it is
    over, and Gone when there is no QEMU any more.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._events: list[dict[str, Any]] = []

    def start(self, deadline: float) -> None:
        """Waits for QEMU to be there."""
        self._message(deadline)  # Its greeting.
        self.call("qmp_capabilities", deadline)

    def call(self, command: str, deadline: float, **arguments: Any) -> Any:
        """Returns what QEMU answers. An underscore in an argument's name is a hyphen there."""
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._send({"execute": command, "arguments": words})
        return self._answer(command, deadline)

    def give_file(self, name: str, descriptor: int, deadline: float) -> None:
        """Gives QEMU an open file, which is fd:NAME from now on."""
        self._send({"execute": "getfd", "arguments": {"fdname": name}}, descriptor)
        self._answer("getfd", deadline)

    def wait_for(self, event: str, deadline: float) -> dict[str, Any]:
        """Returns the data of the next event of that name."""
        while True:
            for known in self._events:
                if known["event"] == event:
                    self._events.remove(known)
                    return known.get("data", {})
            message = self._message(deadline)
            if "event" in message:
                self._events.append(message)

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            socket.send_fds(self._connection, [json.dumps(message).encode() + b"\n"], descriptors)
        except OSError:
            raise Gone from None

    def _answer(self, command: str, deadline: float) -> Any:
        while True:
            message = self._message(deadline)
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise Refused(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._connection], [], [], left)[0]:
                raise TimeoutError
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                raise Gone
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

"""Tests speak to this machine only. Imports no SDK: each costs more than all tests of the core."""

from __future__ import annotations

import ipaddress
import sys

import pytest


class LeftThisMachine(Exception):
    """A test tried to reach another machine."""


def forbid_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: nobody gets around it by holding on to an earlier socket.connect."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # Unix sockets are named by a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise LeftThisMachine(f"{event} to {host!r}: tests may only use loopback. Serve it from a local server.")


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("markexpr") != "live":
        sys.addaudithook(forbid_other_machines)

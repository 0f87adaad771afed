"""Connections that notice when the machine at their other end is gone.

A process that dies says so: its kernel closes its connections. A machine without power or cable
says nothing, and TCP by itself goes on waiting for a quarter of an hour.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

SILENCE_S = 10  # without an answer from the other kernel, however busy its processes are
_ASK_AFTER_S, _ASK_EVERY_S = 4, 2


def notice_lost_machines() -> set[str]:
    """From now on, this process's TCP connections to other machines fail after `SILENCE_S`.

    Whoever waits on one then gets an error. Returns this machine's addresses on them. Connections
    made later are not bounded, nor are those within a machine: of a process that is stopped, the
    kernel goes on answering (see `rank_watch.py`). Linux only: elsewhere, nothing.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return set()
    addresses = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # closed meanwhile, or not connected
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as connection:
                    if _leaves_this_machine(connection):
                        _bound_silence(connection)
                        addresses.add(connection.getsockname()[0])
    return addresses


def _leaves_this_machine(connection: socket.socket) -> bool:
    is_tcp = connection.family in (socket.AF_INET, socket.AF_INET6)
    if not is_tcp or connection.type != socket.SOCK_STREAM:
        return False
    return connection.getpeername()[0] != connection.getsockname()[0]


def _bound_silence(connection: socket.socket) -> None:
    """Ask an idle peer's kernel whether it lives, and wait for an answer only so long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _ASK_AFTER_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _ASK_EVERY_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENCE_S)

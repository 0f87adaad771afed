"""Which connections are made to notice a lost machine: 127.0.0.2 stands for another one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from accel.learning.links import SILENCE_S, notice_lost_machines

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such setting"
)


@pytest.fixture
def connect() -> Iterator[Callable[[str], socket.socket]]:
    """connect(address): a connection from 127.0.0.1 to a listener there."""
    sockets: list[socket.socket] = []

    def connect(address: str) -> socket.socket:
        sockets.append(socket.create_server((address, 0)))
        there = sockets[-1].getsockname()
        sockets.append(socket.create_connection(there, source_address=("127.0.0.1", 0)))
        return sockets[-1]

    yield connect
    for one in sockets:
        one.close()


def silence_ms(connection: socket.socket) -> int:
    """How long its other end may say nothing, 0 for as long as TCP likes."""
    is_asked = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return is_asked * connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_connections_to_other_machines_alone_are_bounded(connect) -> None:
    within, between = connect("127.0.0.1"), connect("127.0.0.2")
    pair = socket.socketpair()  # not of TCP at all
    assert "127.0.0.1" in notice_lost_machines()
    assert (silence_ms(within), silence_ms(between)) == (0, 1000 * SILENCE_S)
    for one in pair:
        one.close()


def test_the_connections_stay_open(connect) -> None:
    connection = connect("127.0.0.2")
    notice_lost_machines()
    assert connection.send(b"still here") == 10

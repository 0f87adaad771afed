"""Connections among the ranks of a job, on which each tells the others that it is alive."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

_MEET_WITHIN_S = 30.0
_LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 16
_MESSAGE = struct.Struct("<bq")  # a word and its number

ALIVE, GOODBYE, GIVES_UP = range(3)  # words


class Message(NamedTuple):
    """What a rank says."""

    word: int  # ALIVE, GOODBYE: done, or GIVES_UP: its run fails because a rank was lost
    number: int  # of the exchanges it has come to; for GIVES_UP, the rank that was lost


class Peer:
    """Another rank, at the other end of a connection."""

    def __init__(self, rank: int, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.rank, self.connection = rank, connection
        self.silence_s = 0.0  # since it was last heard of
        self.num_exchanges = 0  # that it has come to
        self.hung_up: str | None = None  # why nothing more comes from it
        self.is_missed = True  # if it hangs up; it has said nothing that explains it
        self._rest = b""

    def say(self, message: Message) -> None:
        """Tell it something, if it is there."""
        with suppress(OSError):
            self.connection.send(_MESSAGE.pack(*message))

    def hang_up(self) -> None:
        """Close the connection; what was said before reaches the other."""
        self.hear(0.0)  # closing with something unread would throw away what is on its way
        self.connection.close()

    def hear(self, waited_s: float) -> list[Message]:
        """What it has said since the last call, which was `waited_s` ago; never waits.

        Notes for how long it has been silent, and whether it has hung up.
        """
        self.silence_s += waited_s
        messages: list[Message] = []
        while self.hung_up is None:
            try:
                data = self.connection.recv(4096)
            except BlockingIOError:
                break
            except ConnectionError:  # it ended before it had read everything
                data = b""
            except OSError as error:
                self.hung_up = f"its connection failed: {error.strerror}"
                break
            if not data:
                self.hung_up = "its process ended"
                break
            self.silence_s = 0.0
            data = self._rest + data
            whole = len(data) - len(data) % _MESSAGE.size
            messages += [Message(*each) for each in _MESSAGE.iter_unpack(data[:whole])]
            self._rest = data[whole:]
        return messages


def meet_peers(
    rank: int,
    size: int,
    addresses: Collection[str],
    gather: Callable[[Any], list[Any]],
) -> list[Peer]:
    """Connect all ranks with one another; all call this.

    `addresses` are those of this machine that others can reach, empty if all ranks are on it, and
    `gather` hands every rank what each has given. Raises OSError if a rank cannot be reached.
    """
    with _listen(addresses, size) as listener:
        port, secret = listener.getsockname()[1], os.urandom(_TOKEN_BYTES)
        told = gather((sorted(addresses) or [_LOOPBACK], port, secret))
        token = told[0][2]  # keeps strangers out
        peers = [_connect(other, *told[other][:2], token, rank) for other in range(rank)]
        while len(peers) < size - 1:
            peer = _accept(listener, token)
            peers += [peer] if peer is not None else []
    return peers


def _listen(addresses: Collection[str], size: int) -> socket.socket:
    if not addresses:
        listener = socket.create_server((_LOOPBACK, 0), backlog=size)
    elif any(":" in address for address in addresses) and socket.has_dualstack_ipv6():
        how: dict[str, Any] = {"family": socket.AF_INET6, "dualstack_ipv6": True}
        listener = socket.create_server(("", 0), backlog=size, **how)
    else:
        listener = socket.create_server(("", 0), backlog=size)
    listener.settimeout(_MEET_WITHIN_S)
    return listener


def _connect(other: int, addresses: list[str], port: int, token: bytes, rank: int) -> Peer:
    """Call another rank at whichever of its addresses answers first."""
    problem = OSError(f"rank {other} has no address")
    for address in addresses:
        try:
            connection = socket.create_connection((address, port), _MEET_WITHIN_S / len(addresses))
        except OSError as error:
            problem = OSError(f"rank {other} cannot be reached at {address}, port {port}: {error}")
            continue
        connection.sendall(token + struct.pack("<q", rank))
        return Peer(other, connection)
    raise problem


def _accept(listener: socket.socket, token: bytes) -> Peer | None:
    """The rank that calls; None if it is somebody else."""
    connection, _ = listener.accept()
    connection.settimeout(1.0)
    greeting = b""
    with suppress(OSError):
        while len(greeting) < _TOKEN_BYTES + 8:
            data = connection.recv(_TOKEN_BYTES + 8 - len(greeting))
            if not data:
                break
            greeting += data
    if len(greeting) == _TOKEN_BYTES + 8 and greeting.startswith(token):
        return Peer(struct.unpack("<q", greeting[_TOKEN_BYTES:])[0], connection)
    connection.close()
    return None

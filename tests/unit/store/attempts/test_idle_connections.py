"""Places for database steps, and the connections that are kept between them, on a clock that the test moves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from perdure.store.attempts.idle_connections import IdleConnections, Seat

ONE, TWO = (UUID(int=1), 1), (UUID(int=2), 1)


class Kind:
    """What all connections have."""

    def __init__(self) -> None:
        self.lost = self.hung_up = False
        self.calls: list[str] = []

    def rest(self) -> None:
        self.calls.append("rest")

    def wake(self) -> None:
        self.calls.append("wake")

    def end(self) -> None:
        self.calls.append("end")


class Connection(Kind):
    """One kind."""


class Other(Kind):
    """Another kind."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(most: int | None, clock: Clock) -> Any:
    return IdleConnections(most, clock)


def asked(idle: Any, woken: list[str], name: str) -> Seat:
    seat: Seat = idle.ask(lambda: woken.append(name))
    return seat


def test_places_are_given_in_the_order_of_asking(clock: Clock) -> None:
    idle, woken = made(2, clock), list[str]()
    a, b, c, d = (asked(idle, woken, name) for name in "abcd")
    assert [seat.granted for seat in (a, b, c, d)] == [True, True, False, False]
    assert idle.lent == 2
    idle.leave(b)
    assert woken == ["c"]
    idle.leave(d)  # it waits no more
    idle.leave(b)  # a second time, which gives nobody a place
    idle.leave(a)
    assert (woken, idle.lent) == (["c"], 1)


def test_without_a_limit_everybody_has_a_place(clock: Clock) -> None:
    idle = made(None, clock)
    assert all(asked(idle, [], str(n)).granted for n in range(100))


def test_a_kept_connection_goes_to_its_kind_and_best_to_who_had_it(clock: Clock) -> None:
    idle = made(5, clock)
    first, second, other = Connection(), Connection(), Other()
    for connection, user in ((first, ONE), (second, TWO), (other, ONE)):
        idle.keep(connection, user)
    assert idle.take(Other, TWO) == (other, False)
    assert idle.take(Other, TWO) is None
    assert idle.take(Connection, ONE) == (first, True)
    assert idle.take(Connection, ONE) == (second, False)
    assert idle.take(Connection, ONE) is None
    assert second.calls == ["rest", "wake"]


def test_an_idle_one_of_another_kind_makes_room(clock: Clock) -> None:
    idle = made(1, clock)
    other = Other()
    idle.keep(other, ONE)
    idle.ask(lambda: None)
    assert idle.take(Connection, ONE) is None
    assert other.calls == ["rest", "end"]


def test_without_a_limit_one_of_each_kind_is_kept(clock: Clock) -> None:
    idle = made(None, clock)
    connections = [Connection(), Connection(), Other()]
    for connection in connections:
        idle.keep(connection, ONE)
    assert [connection.calls for connection in connections] == [["rest"], ["rest", "end"], ["rest"]]


def test_a_lost_one_is_not_kept(clock: Clock) -> None:
    idle, connection = made(5, clock), Connection()
    connection.lost = True
    idle.keep(connection, ONE)
    assert connection.calls == ["rest", "end"]
    assert idle.take(Connection, ONE) is None


def test_what_was_idle_for_long_is_closed(clock: Clock) -> None:
    idle, old, young = made(5, clock), Connection(), Connection()
    idle.keep(old, ONE)
    clock.now = 6.0
    idle.keep(young, ONE)
    idle.tidy()
    assert old.calls == ["rest"]
    clock.now = 10.0
    idle.tidy()
    assert (old.calls, young.calls) == (["rest", "end"], ["rest"])


def test_the_place_of_a_connection_that_the_server_has_ended_is_anothers(clock: Clock) -> None:
    idle, woken = made(1, clock), list[str]()
    seat: Any = asked(idle, woken, "a")
    waits = asked(idle, woken, "b")
    seat.connection = Connection()
    idle.reap()
    assert not waits.granted
    seat.connection.hung_up = True
    idle.reap()
    assert (waits.granted, woken) == (True, ["b"])
    idle.leave(seat)
    assert idle.lent == 1


def test_once_closed_none_is_kept(clock: Clock) -> None:
    idle, kept, later = made(5, clock), Connection(), Connection()
    idle.keep(kept, ONE)
    idle.close()
    idle.keep(later, ONE)
    assert kept.calls == ["rest", "end"]
    assert later.calls == ["rest", "end"]

"""Ctrl-C ends an attempt; a KeyboardInterrupt that code raises is an error like any other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from perdure.engine.branches.ctrl_c import interrupts, noted


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """What a program has: Python's own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted() -> BaseException:
    with pytest.raises(KeyboardInterrupt) as raised:
        signal.raise_signal(signal.SIGINT)
    return raised.value


def test_the_keyboard_interrupt_of_a_signal_is_one() -> None:
    with noted():
        assert interrupts(interrupted())


def test_one_that_code_raises_is_none() -> None:
    with noted():
        assert not interrupts(KeyboardInterrupt())


def test_another_error_after_the_signal_is_none() -> None:
    with noted():
        interrupted()
        assert not interrupts(ValueError())
        assert not interrupts(None)


def test_a_signal_does_not_count_for_what_comes_after() -> None:
    with noted():
        interrupted()
    assert not interrupts(KeyboardInterrupt())


def test_one_in_another_thread_is_none_for_python_raises_it_in_the_main_thread() -> None:
    found: list[bool] = []
    with noted():
        error = interrupted()
        thread = threading.Thread(target=lambda: found.append(interrupts(error)))
        thread.start()
        thread.join()
    assert found == [False]


def test_the_handler_that_was_there_hears_of_the_signal_and_is_put_back() -> None:
    heard: list[int] = []

    def own(number: int, _frame: Any) -> None:
        heard.append(number)

    signal.signal(signal.SIGINT, own)
    with noted():
        signal.raise_signal(signal.SIGINT)
        assert interrupts(KeyboardInterrupt())
    assert heard == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is own


def test_a_handler_that_code_sets_for_good_stays() -> None:
    def own(_number: int, _frame: Any) -> None:
        pass

    with noted():
        signal.signal(signal.SIGINT, own)
    assert signal.getsignal(signal.SIGINT) is own


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_where_there_is_no_handler_none_is_set(before: Any) -> None:
    signal.signal(signal.SIGINT, before)
    with noted():
        assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_may_set_no_handler_and_sets_none() -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with noted():
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []

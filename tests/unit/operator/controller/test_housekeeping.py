"""How much one statement of a sweep deletes."""

from __future__ import annotations

from perdure_operator.controller.housekeeping import BatchSize


def test_it_grows_while_statements_are_quick_and_has_a_limit() -> None:
    size = BatchSize(100, 1_000, aim=1.0)
    sizes = []
    for _ in range(6):
        sizes.append(size.now)
        size.took(0.1)
    assert sizes == [100, 200, 400, 800, 1_000, 1_000]


def test_it_stays_where_a_statement_takes_about_what_it_should() -> None:
    size = BatchSize(100, 1_000, aim=1.0)
    size.took(0.5)
    size.took(1.0)
    assert size.now == 100


def test_it_shrinks_where_statements_are_slow() -> None:
    size = BatchSize(100, 1_000, aim=1.0)
    size.took(1.5)
    assert size.now == 50


def test_one_without_an_answer_is_tried_again_much_smaller_but_not_for_ever() -> None:
    size = BatchSize(100, 1_000)
    assert [size.timed_out() for _ in range(5)] == [True, True, False, False, False]
    assert size.now == 1

"""Each function of the schema stands in the one file of its name, which says who may call it."""

from __future__ import annotations

import pytest

from perdure.store.schema.function_files import _parsed, functions, granted_to

BODY = "CREATE OR REPLACE FUNCTION perdure.pay(run uuid) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;\n"


@pytest.mark.parametrize(
    ("callers", "found"),
    [
        ("nobody", set()),
        ("pods", {"pods"}),
        ("operator", {"operator"}),
        ("pods, operator", {"pods", "operator"}),
    ],
)
def test_the_first_line_grants(callers: str, found: set[str]) -> None:
    function = _parsed("pay", f"-- Granted to: {callers}\n{BODY}")
    assert function.name == "pay"
    assert function.callers == frozenset(found)
    assert function.text.endswith(BODY)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pay", BODY),
        ("pay", f"-- Granted to: everybody\n{BODY}"),
        ("other", f"-- Granted to: pods\n{BODY}"),
        ("pay", f"-- Granted to: pods\n{BODY}{BODY.replace('pay', 'refund')}"),
        ("pay", "-- Granted to: pods\n"),
    ],
)
def test_a_file_that_says_something_else_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"functions/{name}.sql"):
        _parsed(name, text)


def test_all_files_are_read_by_name() -> None:
    names = [function.name for function in functions()]
    assert names == sorted(names)
    assert {"begin", "checkpoint", "load"} <= set(names)


def test_who_may_call_what() -> None:
    assert {"begin", "checkpoint", "finish"} <= set(granted_to("pods"))
    assert set(granted_to("pods")) | set(granted_to("operator")) < {function.name for function in functions()}
    assert granted_to("nobody") == ()

"""A line of the log, for machines and for people."""

from __future__ import annotations

import json
import logging

from perdure_operator.logs import _Json, _Text, about


def record(message="it happened", **extra):
    made = logging.LogRecord("perdure.operator", logging.INFO, __file__, 1, message, (), None)
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def test_a_line_says_what_it_is_about():
    with about(workflow="shop/one"), about(run="17"):
        line = json.loads(_Json().format(record(attempt=2)))
    assert line["message"] == "it happened"
    assert (line["workflow"], line["run"], line["attempt"]) == ("shop/one", "17", 2)
    assert "workflow" not in json.loads(_Json().format(record()))


def test_a_traceback_stays_in_its_line():
    try:
        raise ValueError("no")
    except ValueError as error:
        made = record()
        made.exc_info = (type(error), error, error.__traceback__)
    text = _Json().format(made)
    assert "\n" not in text
    assert "ValueError: no" in json.loads(text)["traceback"]


def test_text_has_a_value_for_each_key():
    text = _Text().format(record('said "no"\nand went', attempt=2))
    assert 'message="said \\"no\\"\\nand went" attempt=2' in text
    assert "\n" not in text

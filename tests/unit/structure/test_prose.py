"""Docstrings and comments, and the constructions in them that make sentences hard to follow."""

from __future__ import annotations

import pytest

from docs.structure.prose import constructions, prose, words

SOURCE = '''"""A module.

In two lines.
"""

LIMIT = 3
"""Most of them."""


def one(text="no prose"):
    """A function."""
    # A comment
    # of two lines.
    return text  # and one behind
'''


def test_docstrings_attributes_and_comments_are_prose_and_strings_are_not() -> None:
    assert {text for _, text in prose(SOURCE)} == {
        "A module. In two lines. ",
        "Most of them.",
        "A function.",
        "A comment of two lines. and one behind",
    }
    assert words(SOURCE) == 5 + 3 + 2 + 8


@pytest.mark.parametrize(
    ("sentence", "habits"),
    [
        ("Whoever comes last closes it.", ["whoever, whatever"]),
        ("Nobody closes it.", ["nobody, somebody"]),
        ("No one closes it.", ["nobody, somebody"]),
        ("Sends what came of it.", ["what is, what came"]),
        ("The store says so.", ["tell, say, hear, ask"]),
        (
            "It asks whatever is there what it holds.",
            ["tell, say, hear, ask", "what is, what came", "whoever, whatever"],
        ),
        ("The supervisor closes the connection, however long that takes.", []),
        ("What remained, whenever it asked.", ["tell, say, hear, ask"]),
        ("The essay mentions a task, storytelling and somebody_else.", []),
    ],
)
def test_a_construction_is_found_by_its_words(sentence: str, habits: list[str]) -> None:
    assert [found.habit for found in constructions(f'"""{sentence}"""\n')] == habits


def test_a_construction_is_found_across_lines_and_in_comments() -> None:
    found = constructions("x = 1\n# The client takes what\n# is left.\n")
    assert [(one.line, one.habit) for one in found] == [(2, "what is, what came")]


def test_code_is_no_prose() -> None:
    assert constructions("def ask(what, nobody):\n    return f'{nobody} says {what}'\n") == []

"""Circles, the arrows that run back in them, and floors."""

from __future__ import annotations

from docs.structure.graph import back_arrows, circles, floors, rooms

STRAIGHT = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
LOOP = {"top": {"a"}, "a": {"b", "low"}, "b": {"c"}, "c": {"a"}, "low": set()}


def test_what_is_layered_has_no_circle_and_no_arrow_back() -> None:
    assert circles(STRAIGHT) == []
    assert back_arrows(STRAIGHT) == []


def test_a_circle_has_all_that_reach_each_other_and_no_others() -> None:
    assert circles(LOOP) == [{"a", "b", "c"}]


def test_circles_that_share_nothing_are_two() -> None:
    two = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}
    assert sorted(map(sorted, circles(two))) == [["a", "b"], ["c", "d"]]


def test_one_arrow_closes_a_loop() -> None:
    assert len(back_arrows(LOOP)) == 1


def test_what_all_of_a_circle_point_at_is_laid_out_below_them() -> None:
    hub = {"hub": {"c"}, "a": {"hub"}, "b": {"hub"}, "c": {"hub", "a", "b"}}
    assert back_arrows(hub) == [("hub", "c")]


def test_floors_are_counted_from_below_and_a_circle_is_on_one() -> None:
    assert floors(STRAIGHT) == {"a": 2, "b": 1, "c": 0}
    assert floors(LOOP) == {"top": 2, "a": 1, "b": 1, "c": 1, "low": 0}


def test_a_folder_is_drawn_with_each_subfolder_as_one_room() -> None:
    graph = {"p.x": {"p.y.one", "q.z"}, "p.y.one": {"p.y.two"}, "p.y.two": set(), "p.y": set(), "q.z": {"p.x"}}
    assert rooms(graph, "p") == {"x": {"y"}, "y": set()}

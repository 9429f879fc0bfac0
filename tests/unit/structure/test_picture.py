"""The picture of the packages has every module in one room, every arrow, and no room behind another."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from docs.structure import picture
from docs.structure.graph import circles
from docs.structure.picture import ROOMS, arrows_between, drawn, room_of
from docs.structure.tree import arrows, modules

TREE = modules()
IMPORTS = arrows(TREE)
_SVG = "{http://www.w3.org/2000/svg}"


def test_every_module_is_in_a_room_and_every_room_holds_some() -> None:
    rooms = {name: room_of(name) for name in TREE if name != "perdure_operator"}
    assert {room.name for room in rooms.values() if room is not None} == {room.name for room in ROOMS}
    assert [name for name, room in rooms.items() if room is None] == [], "give them one in docs/structure/picture.py"


def test_a_module_that_a_room_names_is_in_it_and_not_with_the_package_around() -> None:
    assert getattr(room_of("perdure.engine.lane"), "name", "") == "perdure.engine"
    assert getattr(room_of("perdure_operator.store"), "name", "") == "operator's store"
    assert getattr(room_of("perdure"), "name", "") == "import perdure"
    assert room_of("perdure.new") is None


def test_arrows_that_follow_from_others_are_left_out() -> None:
    assert drawn({"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}) == {
        "a": {"b", "d"},
        "b": {"c"},
        "c": set(),
        "d": set(),
    }


def test_rooms_that_import_each_other_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="import each other: a, b"):
        drawn({"a": {"b"}, "b": {"a"}})


def test_the_rooms_have_no_circle() -> None:
    assert circles(arrows_between(IMPORTS)) == []


def test_rooms_in_one_place_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_BETWEEN", 10)
    with pytest.raises(ValueError, match="stand in one place"):
        picture.picture(IMPORTS)


def test_the_picture_has_a_box_for_each_room_and_all_arrows_point_down() -> None:
    tree = ElementTree.fromstring(picture.picture(IMPORTS))
    assert {text.text for text in tree.iter(f"{_SVG}text") if text.get("font-weight")} == {room.name for room in ROOMS}
    lines = [path.attrib["d"].replace("C", "").replace("M", "").split() for path in tree.findall(f"{_SVG}path")]
    assert len(lines) == sum(map(len, drawn(arrows_between(IMPORTS)).values()))
    assert all(float(line[1]) < float(line[-1]) for line in lines)

"""Arguments of the embedded server: what it is told wins over what it has of its own."""

from __future__ import annotations

from perdure.store.embedded.options import SETTINGS, options_of


def settings_in(options: list[str]) -> dict[str, str]:
    assert options[::2] == ["-c"] * (len(options) // 2)
    return dict(option.split("=", 1) for option in options[1::2])


def test_each_setting_is_an_argument() -> None:
    assert settings_in(options_of({"port": "5", "archive_command": "a=b"})) == {
        **SETTINGS, "port": "5", "archive_command": "a=b",
    }  # fmt: skip


def test_what_is_given_wins() -> None:
    assert settings_in(options_of({"jit": "on"}))["jit"] == "on"

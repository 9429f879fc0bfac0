"""Each answer of the API server becomes the error that says what to do about it."""

from __future__ import annotations

import pytest

from perdure_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from perdure_operator.kube import PODS, WORKFLOWS
from tests.unit.operator.kube.served import Served

ERRORS = [
    (400, "BadRequest", Refused),
    (401, "Unauthorized", Unauthorized),
    (403, "Forbidden", Refused),
    (404, "NotFound", NotFound),
    (405, "MethodNotAllowed", ApiError),
    (409, "AlreadyExists", AlreadyExists),
    (409, "Conflict", Conflict),
    (409, "", Conflict),
    (410, "Expired", Expired),
    (410, "Gone", Expired),
    (413, "RequestEntityTooLarge", Refused),
    (415, "UnsupportedMediaType", Refused),
    (418, "Teapot", ApiError),
    (422, "Invalid", Refused),
    (429, "TooManyRequests", TooManyRequests),
    (500, "InternalError", Unavailable),
    (502, "", Unavailable),
    (503, "ServiceUnavailable", Unavailable),
    (504, "Timeout", Unavailable),
]


def failure(api: Served) -> ApiError:
    """What becomes of a call."""
    with pytest.raises(ApiError) as raised:
        api.run(api.kube.get(PODS, "shop", "one"))
    return raised.value


@pytest.mark.parametrize(("status", "reason", "error"), ERRORS)
def test_each_status_is_an_error_with_the_servers_words(
    api: Served, status: int, reason: str, error: type[ApiError]
) -> None:
    api.refuse(status, reason, "it is so")
    raised = failure(api)
    assert type(raised) is error
    assert raised.call == "get namespaces/shop/pods/one"
    assert "it is so" in raised.said
    assert str(raised) == f"{raised.call}: {raised.said}"
    assert api.called == [("get", "pods", str(status))]
    assert len(api.asked) == 1  # asked once: who called knows when to come again


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Bad Gateway</html>", "502: <html>Bad Gateway</html>"),
        (b"", "502: status 502"),
        (b"[]", "502: []"),
        (b"null", "502: null"),
        (b'{"kind": "Status"}', '502: {"kind": "Status"}'),
        (b"\xff\xfe", "502: \ufffd\ufffd"),
        (b"x" * 5000, "502: " + "x" * 200),
    ],
)
def test_what_is_no_status_of_the_api_is_shown_as_far_as_it_helps(api: Served, body: bytes, said: str) -> None:
    api.reply(502, body)
    raised = failure(api)
    assert type(raised) is Unavailable
    assert raised.said == said


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 12 ", 12.0),
        ("0", 0.0),
        (None, 1.0),
        ("soon", 1.0),
        ("-3", 1.0),
        ("1e400", 1.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
    ],
)
def test_a_busy_server_says_in_how_many_seconds_to_come_again(api: Served, header: str | None, seconds: float) -> None:
    api.refuse(429, "TooManyRequests", "busy", **({} if header is None else {"Retry_After": header}))
    raised = failure(api)
    assert isinstance(raised, TooManyRequests)
    assert raised.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html>welcome</html>", b'{"a": ', b"[1]", b"null", b"\xff"])
def test_an_answer_that_is_no_object_is_none_of_use(api: Served, body: bytes) -> None:
    api.reply(200, body)
    assert type(failure(api)) is Unavailable


def test_what_strict_validation_refuses_is_told_in_the_servers_words(api: Served) -> None:
    said = 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.nodes"'
    api.refuse(400, "BadRequest", said)
    with pytest.raises(Refused) as raised:
        api.run(api.kube.create(PODS, "shop", {"spec": {"nodes": 1}}, strict=True))
    assert raised.value.said == said
    assert api.asked[0].query == {"fieldManager": "perdure", "fieldValidation": "Strict"}


def test_a_warning_is_no_refusal(api: Served) -> None:
    """As the server sends it for an unknown field where nobody asked it to be strict."""
    api.reply(201, {"metadata": {"uid": "1"}}, Warning='299 - "unknown field \\"spec.nodes\\""')
    assert api.run(api.kube.create(WORKFLOWS, "shop", {})) == {"metadata": {"uid": "1"}}
    assert "fieldValidation" not in api.asked[0].query

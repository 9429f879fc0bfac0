"""Values and errors that a step gives: what the workflow sees of them must be the same live and on replay."""

from __future__ import annotations

from ..grammar import Production


def _value(name: str, hint: str, value: str, probe: str, *, before: str = "") -> Production:
    """A step whose result is `value`, and what `probe` says of it."""
    text = f"""
{before}
def make$n() -> {hint}:
    return {value}
make$n.__annotations__["return"] = {hint}
value$n = run_step("make", make$n)
out.append([type(value$n).__name__, str({probe.replace("VALUE", "value$n")})])
out.append(f(str({probe.replace("VALUE", "value$n")})))
"""
    return Production(name, "sync", text, refused=True)


def _error(name: str, before: str, error: str, probe: str, *, unlike: bool = False) -> Production:
    """A step that raises `error`, and what `probe` says of it."""
    text = f"""
{before}
def fails$n() -> None:
    {error}
try:
    run_step("fails", fails$n)
except Exception as error$n:
    out.append([type(error$n).__name__, str(error$n), notes(error$n)])
    try:
        out.append(str({probe.replace("ERROR", "error$n")}))
    except AttributeError as missing$n:
        out.append("missing")
    out.append(g(str(error$n)))
"""
    return Production(name, "sync", text, unlike=unlike)


PRODUCTIONS = [
    _value(
        "zoned datetime",
        "datetime.datetime",
        'datetime.datetime(2026, 3, 28, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))',
        "(VALUE + datetime.timedelta(days=2)).isoformat() + str(VALUE.tzinfo)",
    ),
    _value("bounded deque", "collections.deque", "collections.deque([1, 2], maxlen=2)", "[VALUE.append(3), VALUE]"),
    _value("decimal", "decimal.Decimal", 'decimal.Decimal("1.10")', "VALUE + 1"),
    _value("float that is whole", "float", "2", "repr(VALUE) + repr(VALUE / 2)"),
    _value("untyped list", "list", '[1, 2.0, "x", None, {"a": [True]}]', "VALUE"),
    _value("tuple", "tuple", "(1, (2, 3))", "[VALUE, type(VALUE[1]).__name__]"),
    _value("set of ints", "set[int]", "{3, 1, 2}", "sorted(VALUE)"),
    _value("bytes", "bytes", 'b"\\x00\\xff"', "VALUE"),
    _value("uuid", "uuid.UUID", "uuid.UUID(int=7)", "VALUE"),
    _value(
        "defaultdict",
        "collections.defaultdict[str, list[int]]",
        'collections.defaultdict(list, {"a": [1]})',
        'VALUE["b"]',
    ),
    _value("counter", "collections.Counter[str]", 'collections.Counter("abca")', 'VALUE.most_common(1) + [VALUE["z"]]'),
    _value(
        "ordered dict", "collections.OrderedDict[str, int]", "collections.OrderedDict(b=1, a=2)", "VALUE.popitem(False)"
    ),
    _value(
        "dataclass with a factory",
        "Parcel$n",
        '[[Parcel$n("a")|Parcel$n("b", 3.5)]]',
        "VALUE.id + str(VALUE.weight)",
        before="""
ids$n = iter(range(100, 200))
@dataclasses.dataclass
class Parcel$n:
    name: str
    weight: float = 1.0
    id: str = dataclasses.field(init=False, compare=[[True|False]], default_factory=lambda: str(next(ids$n)))
globals()["Parcel$n"] = Parcel$n""",
    ),
    _value(
        "dataclass with attributes",
        "Thing$n",
        'made$n("a")',
        'getattr(VALUE, "extra", "lost")',
        before="""
@dataclasses.dataclass
class Thing$n:
    name: str
globals()["Thing$n"] = Thing$n

def made$n(name: str) -> Thing$n:
    thing = Thing$n(name)
    thing.extra = "kept"
    return thing""",
    ),
    _value(
        "pydantic model",
        "Model$n",
        "[[Model$n(a=1)|Model$n(a=1, b=2)]]",
        "VALUE.model_dump(exclude_unset=True)",
        before="""
class Model$n(pydantic.BaseModel):
    a: int
    b: int = 2
globals()["Model$n"] = Model$n""",
    ),
    _value(
        "enum of tuples",
        "Planet$n",
        "Planet$n.EARTH",
        "VALUE.value[1]",
        before="""
class Planet$n(enum.Enum):
    EARTH = (5.9, 6378)
    MARS = (0.6, 3397)
globals()["Planet$n"] = Planet$n""",
    ),
    _value("dict with tuples as keys", "dict[tuple[int, int], str]", '{(1, 2): "a"}', "VALUE[1, 2]"),
    _value("timedelta", "datetime.timedelta", "datetime.timedelta(days=1, microseconds=3)", "VALUE * 2"),
    _value("optional", "int | str | None", '[[1|"1"|None]]', "repr(VALUE)"),
    _value(
        "bool under int",
        "int",
        "True",
        "repr(VALUE)",
    ),
    _error(
        "error with a default",
        """
class Late$n(Exception):
    def __init__(self, what: str, after: int = 60) -> None:
        super().__init__(what)
        self.after = after

    def __str__(self) -> str:
        return f"{self.args[0]} after {self.after} s"
Late$n.__qualname__ = "Late$n"
globals()["Late$n"] = Late$n""",
        'raise Late$n("late", 5)',
        "ERROR.after",
    ),
    _error(
        "error with notes and a cause",
        "",
        """try:
        raise KeyError("inner")
    except KeyError as inner:
        outer = ValueError("outer", 3)
        outer.add_note("look here")
        raise outer from inner""",
        "[ERROR.args, repr(ERROR.__cause__)]",
    ),
    _error(
        "exception group",
        "",
        'raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])])',
        "[repr(one) for one in ERROR.exceptions]",
    ),
    _error(
        "error with an object",
        """
class Response$n:
    status = 503

class Http$n(Exception):
    def __init__(self, message: str, response: object) -> None:
        super().__init__(message)
        self.response = response
Http$n.__qualname__ = "Http$n"
globals()["Http$n"] = Http$n""",
        'raise Http$n("unavailable", Response$n())',
        "ERROR.response.status",
        unlike=True,
    ),
    _error(
        "validation error",
        """
class Checked$n(pydantic.BaseModel):
    a: int""",
        'Checked$n(a="x")',
        "type(ERROR).__name__ + str(ERROR.error_count())",
    ),
    _error("OSError", "", 'raise FileNotFoundError(2, "no such file", "/x")', "[ERROR.errno, ERROR.filename]"),
    _error("timeout error", "", 'raise TimeoutError("slow")', "repr(ERROR)"),
    _error("unicode error", "", 'b"\\xff".decode()', "[ERROR.start, ERROR.reason, ERROR.object]"),
]

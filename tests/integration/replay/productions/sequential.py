"""One call after the other: loops, branches, errors, retries, chance, arguments."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production("step", "sync", "out.append(f($'))"),
    Production("other step", "sync", "out.append(g($'))"),
    Production(
        "step on results",
        "sync",
        """
out.append(f(repr(out[-2:])))
if len(out) % 2:
    out.append(g(len(repr(out))))
""",
    ),
    Production(
        "arguments by keyword",
        "sync",
        """
out.append(f(what=$', units=0))
out.append(f($', 0))
""",
    ),
    Production(
        "loop",
        "sync",
        """
for x$n in range([[1|2|3]]):
    out.append([[f|g]](f"{x$n} of {$'}"))
    <block>
""",
    ),
    Production(
        "try",
        "sync",
        """
try:
    <block>
    out.append([[fail|fail|f]]($'))
except Broken as error:
    out.append(f"caught {error}")
    <block>
finally:
    out.append(g($'))
""",
    ),
    Production(
        "recursion",
        "sync",
        """
def deeper$n(level: int) -> list:
    if level == 0:
        return [f($')]
    return [f(f"down {level} {$'}"), *deeper$n(level - 1), g(f"up {level} {$'}")]

out += deeper$n([[1|2|3]])
""",
    ),
    Production(
        "retries",
        "sync",
        """
@step(retry=Retry(tries=3, delay=0, on=OSError))
def flaky$n(what: str) -> str:
    if tries() < 3:
        raise ConnectionError("not yet")
    effect("flaky", what)
    return f"flaky {what}"

out.append(flaky$n($'))
""",
    ),
    Production(
        "retries in vain",
        "sync",
        """
@step(retry=Retry(tries=2, delay=0, on=OSError))
def dead$n(what: str) -> str:
    raise ConnectionError(what)

try:
    dead$n($')
except OSError as error:
    out.append(f"{type(error).__name__} {error}")
    out.append(f($'))
""",
    ),
    Production(
        "chance",
        "sync",
        """
drawn$n = [perdure.random(), str(perdure.uuid4()), perdure.now().isoformat()]
out.append(f($'))
kept$n = run_step("keep", lambda drawn: drawn, drawn$n)
drawn$n += [perdure.random(), str(perdure.uuid4()), perdure.now().isoformat()]
kept$n += run_step("keep", lambda drawn: drawn, drawn$n[3:])
out.append(kept$n == drawn$n)
out.append(g($') if drawn$n[0] < 1 else f($'))
""",
    ),
    Production(
        "run_step and closures",
        "sync",
        """
seen$n = len(out)
out.append(run_step("closure", lambda what: f"{what} {seen$n}", $'))
out.append(run_step("partial", functools.partial(pure, $')))
""",
    ),
    Production(
        "methods",
        "sync",
        """
class Account$n:
    def __init__(self) -> None:
        self.total = 0

    @step
    def price(self, what: str) -> int:
        effect("price", what)
        return len(what)

    def buy(self, what: str) -> None:
        self.total += self.price(what)

account$n = Account$n()
for what$n in ($', $'):
    account$n.buy(what$n)
out.append(account$n.total)
""",
    ),
    Production(
        "workflow inline",
        "sync",
        """
@workflow
def inner$n(what: str) -> str:
    return f(what) + g(what)

out.append(inner$n($'))
""",
    ),
    Production(
        "match and early return",
        "sync",
        """
def choose$n(what: object) -> str:
    match f(what):
        case str() as text if text.endswith("9)"):
            return text
        case other:
            return g(other)

out.append(choose$n($'))
""",
    ),
    Production(
        "dicts",
        "sync",
        """
prices$n = {what: f(what) for what in ($', $', $')}
for name$n, price$n in prices$n.items():
    out.append(g(f"{name$n} {price$n}"))
out.append(prices$n)
""",
    ),
    Production(
        "set of strings",
        "sync",
        """
for what$n in {$', $', $', "milk", "salt", "bread"}:
    out.append([what$n, f(what$n)])
out.sort(key=repr)
""",
        refused=True,
    ),
    Production(
        "set comprehension",
        "sync",
        """
words$n = {w for w in "the quick brown fox jumps over".split()}
out.append(sorted({w: f(w) for w in words$n}.items()))
""",
        refused=True,
    ),
    Production(
        "sorted set",
        "sync",
        """
for what$n in sorted({$', $', "milk", "salt"}):
    out.append(f(what$n))
""",
    ),
    Production(
        "set as an argument",
        "sync",
        """
out.append(run_step("sorted", lambda words: sorted(words), {$', $', "milk", "salt"}))
out.append(run_step("joined", lambda words: len(words), frozenset([$', "milk"])))
""",
    ),
    Production(
        "a list that its step changes",
        "sync",
        """
@step
def ask$n(messages: list) -> str:
    effect("ask", len(messages))
    messages.append("answer")
    return "asked"

messages$n: list = [$']
out.append(ask$n(messages$n))
out.append(list(messages$n))
out.append(f(len(messages$n)))
""",
        refused=True,
        alone=True,
    ),
    Production(
        "an object that its step changes",
        "sync",
        """
@dataclasses.dataclass
class Order$n:
    name: str
    total: int = 0
    lines: list = dataclasses.field(default_factory=list)

@step
def add$n(order: Order$n) -> int:
    effect("add", order.name)
    [[order.total = 5|order.lines.append(5)]]
    return 5

order$n = Order$n($')
out.append(add$n(order$n))
out.append(f(f"{order$n.total} {order$n.lines}"))
""",
        refused=True,
        alone=True,
    ),
    Production(
        "a self that its step changes",
        "sync",
        """
@dataclasses.dataclass
class Cart$n:
    items: list = dataclasses.field(default_factory=list)

    @step
    def add(self, what: str) -> int:
        effect("add", what)
        self.items.append(what)
        return len(self.items)

cart$n = Cart$n()
out.append(cart$n.add($'))
out.append(f(f"{cart$n.items}"))
""",
        refused=True,
        alone=True,
    ),
    Production(
        "generator with its end in finally",
        "sync",
        """
def pages$n():
    try:
        for page in range(3):
            yield f(f"{page} {$'}")
    finally:
        out.append(g($'))

for page$n in pages$n():
    out.append(page$n)
    [[break|pass]]
    <block>
""",
    ),
    Production(
        "generator that is sent to",
        "sync",
        """
def adder$n():
    total = 0
    while True:
        what = yield total
        if what is None:
            return
        total += len(f(what))

adder$n = adder$n()
next(adder$n)
out.append([adder$n.send($'), adder$n.send($')])
adder$n.close()
""",
    ),
    Production(
        "cached",
        "sync",
        """
@functools.lru_cache
def cached$n(what: str) -> str:
    return f(what)

out.append([cached$n(what) for what in (["a", "b", "a"])])
""",
    ),
]

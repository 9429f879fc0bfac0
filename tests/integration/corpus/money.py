"""Programs that move money."""

from __future__ import annotations

import datetime
import enum
import functools
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import perdure
from perdure import Retry, step, workflow

from .outside import tell, tries

CENT = Decimal("0.01")


class InsufficientFunds(Exception):
    pass


@step
def withdraw(account: str, amount: int) -> str:
    if account == "poor":
        raise InsufficientFunds(f"{account} has no {amount}")
    tell("withdraw", (account, amount))
    return f"w-{account}-{amount}"


@step
def deposit(account: str, amount: int) -> str:
    if account == "closed":
        raise LookupError(account)
    tell("deposit", (account, amount))
    return f"d-{account}-{amount}"


@step
def refund(receipt: str) -> str:
    tell("refund", receipt)
    return f"refunded {receipt}"


@workflow
def transfer(source: str, target: str, amount: int) -> list[str]:
    try:
        taken = withdraw(source, amount)
    except InsufficientFunds as error:
        return [f"refused: {error}"]
    try:
        return [taken, deposit(target, amount)]
    except LookupError as error:
        return [taken, refund(taken), f"no such account: {error}"]


@dataclass
class Booking:
    flight: str | None = None
    hotel: str | None = None
    car: str | None = None


@step
def reserve(what: str, city: str) -> str:
    tell("reserve", (what, city))
    if what == "car" and city == "Venice":
        raise RuntimeError("no cars in Venice")
    return f"{what}-{city}"


@step
def cancel_reservation(what: str) -> None:
    tell("cancel", what)


@workflow
def trip(city: str) -> Booking:
    booking = Booking()
    undo = []
    try:
        for what in ("flight", "hotel", "car"):
            reserved = reserve(what, city)
            undo.append(functools.partial(cancel_reservation, reserved))
            setattr(booking, what, reserved)
    except RuntimeError:
        for compensate in reversed(undo):
            compensate()
        return Booking()
    return booking


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal
    count: int = 1


@dataclass
class Invoice:
    number: str
    lines: list[Line] = field(default_factory=list)
    tax: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        return sum((line.price * line.count for line in self.lines), Decimal(0))


@step
def look_up(sku: str) -> Line:
    tell("look up", sku)
    return Line(sku, Decimal(len(sku)) / 3, 2)


@step
def issue(invoice: Invoice, total: Decimal) -> str:
    tell("issue", (invoice.number, str(total)))
    return f"{invoice.number}: {total}"


@workflow
def invoice(number: str, skus: list[str]) -> str:
    bill = Invoice(number)
    for sku in skus:
        line = look_up(sku)
        bill.lines.append(replace(line, price=line.price.quantize(CENT, ROUND_HALF_UP)))
    bill.tax = (bill.net * Decimal("0.19")).quantize(CENT, ROUND_HALF_UP)
    return issue(bill, bill.net + bill.tax)


class Status(enum.StrEnum):
    NEW = "new"
    PAID = "paid"
    SHIPPED = "shipped"
    RETURNED = "returned"


@dataclass(frozen=True)
class Order:
    id: int
    status: Status = Status.NEW
    history: tuple[Status, ...] = ()

    def moved(self, status: Status) -> Order:
        return replace(self, status=status, history=(*self.history, self.status))


@step
def take_payment(order: Order) -> bool:
    tell("payment", order.id)
    return order.id % 2 == 0


@step
def ship(order: Order) -> Order:
    tell("ship", order.id)
    return order.moved(Status.SHIPPED)


@workflow
def order_machine(id: int) -> Order:
    order = Order(id)
    while True:
        match order.status:
            case Status.NEW if take_payment(order):
                order = order.moved(Status.PAID)
            case Status.NEW:
                order = order.moved(Status.RETURNED)
            case Status.PAID:
                order = ship(order)
            case Status.SHIPPED | Status.RETURNED:
                return order


@step(retry=Retry(tries=4, delay=0, on=ConnectionError))
def pay(employee: str, amount: Decimal) -> str:
    if tries() < 3:
        raise ConnectionError("bank is busy")
    tell("pay", (employee, str(amount)))
    return f"{employee} {amount}"


@workflow
def payroll(salaries: dict[str, Decimal]) -> dict[str, str]:
    paid = {}
    for employee, salary in sorted(salaries.items()):
        bonus = salary / 10 if employee.startswith("a") else Decimal(0)
        paid[employee] = pay(employee, (salary + bonus).quantize(CENT))
    return paid


@step
def charge(customer: str, at: datetime.datetime) -> str:
    tell("charge", (customer, at.isoformat()))
    return f"{customer} at {at:%d.%m. %H:%M}"


@workflow
def subscription(customer: str, months: int) -> list[str]:
    zone = ZoneInfo("Europe/Berlin")
    at = datetime.datetime(2026, 1, 31, 9, tzinfo=zone)
    charged = []
    for _ in range(months):
        charged.append(charge(customer, at))
        first = (at.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
        at = first + datetime.timedelta(days=27)
    return charged


@step
def rate(currency: str) -> Decimal:
    tell("rate", currency)
    return {"EUR": Decimal(1), "USD": Decimal("1.08")}.get(currency, Decimal(2))


@workflow
def convert(amounts: list[tuple[Decimal, str]]) -> Decimal:
    @functools.lru_cache
    def cached(currency: str) -> Decimal:
        return rate(currency)

    return sum((amount / cached(currency) for amount, currency in amounts), Decimal(0)).quantize(CENT)


@step
def post(entry: str, amount: int) -> int:
    tell("post", (entry, amount))
    if amount > 900:
        raise ValueError(f"limit: {amount}")
    return amount


@workflow
def bank_batch(entries: dict[str, int]) -> tuple[int, list[str]]:
    failed = []

    def one(item: tuple[str, int]) -> int:
        try:
            return post(*item)
        except ValueError as error:
            failed.append(f"{item[0]}: {error}")
            return 0

    with perdure.ThreadPoolExecutor(3) as pool:
        total = sum(pool.map(one, entries.items()))
    post("total", total % 900)
    return total, sorted(failed)


PROGRAMS = [
    (transfer, ("alice", "bob", 10)),
    (transfer, ("poor", "bob", 10)),
    (transfer, ("alice", "closed", 10)),
    (trip, ("Rome",)),
    (trip, ("Venice",)),
    (invoice, ("R-1", ["tea", "sugar", "milk"])),
    (order_machine, (2,)),
    (order_machine, (3,)),
    (payroll, ({"bob": Decimal(1000), "ada": Decimal("2000.50")},)),
    (subscription, ("bob", 3)),
    (convert, ([(Decimal(10), "USD"), (Decimal(10), "EUR"), (Decimal(7), "USD")],)),
    (bank_batch, ({"a": 10, "b": 950, "c": 30},)),
]

"""How often, when and for which exceptions a step is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DefinitionError
from .pauses import Pauses

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A step's retry policy. Tries belong to one attempt of the run: a new attempt starts them anew.

    The delay before try n+1 is ``min(max_delay, delay * factor ** (n - 1))`` seconds, of which a random share of up to
    `jitter` is taken away, so that many runs that failed together do not come back together.
    """

    tries: int = 3
    """Tries in all, the first included. A step without a policy is tried once."""

    delay: float = 1.0
    """Seconds before the second try."""

    max_delay: float = 300.0
    """Longest delay, in seconds."""

    factor: float = 2.0
    """Growth of the delay from try to try."""

    jitter: float = 0.1
    """Share of a delay that chance may take away, 0 to 1."""

    on: type[Exception] | tuple[type[Exception], ...] = Exception
    """Exceptions that are worth another try."""

    never_on: type[Exception] | tuple[type[Exception], ...] = ()
    """Exceptions that are not, although `on` has them."""

    def __post_init__(self) -> None:
        if not isinstance(self.tries, int) or self.tries < 1:
            raise DefinitionError(f"Retry(tries={self.tries!r}): tries counts the first one too; use 1 or more")
        if not (self.delay >= 0 and self.max_delay >= 0):
            raise DefinitionError(f"Retry(delay={self.delay!r}, max_delay={self.max_delay!r}): seconds, 0 or more")
        if not self.factor >= 1:
            raise DefinitionError(f"Retry(factor={self.factor!r}): 1 or more")
        if not 0 <= self.jitter <= 1:
            raise DefinitionError(f"Retry(jitter={self.jitter!r}): a share from 0 to 1")
        for name, kinds in (("on", self.on), ("never_on", self.never_on)):
            for kind in kinds if isinstance(kinds, tuple) else (kinds,):
                if not (isinstance(kind, type) and issubclass(kind, Exception)):
                    raise DefinitionError(f"Retry({name}={kind!r}): exception classes, one or a tuple of them")

    def tries_again(self, error: BaseException, tries: int) -> bool:
        """Whether a step whose try number `tries` (from 1) raised `error` is tried again."""
        return tries < self.tries and isinstance(error, self.on) and not isinstance(error, self.never_on)

    def pause(self, tries: int) -> float:
        """Seconds to wait after try number `tries` (from 1)."""
        return Pauses(self.delay, self.max_delay, self.factor, self.jitter).after(tries)

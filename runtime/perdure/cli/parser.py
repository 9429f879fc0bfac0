"""The commands, their arguments and exit codes, and how their errors are printed: one sentence, no traceback."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import (
    PerdureError,
    RunConflict,
    RunError,
    RunNotFound,
    StoreError,
    UsageError,
    ValueProblem,
)
from ..process.exit_codes import ExitCode
from .output.documents import FORMATS
from .output.streams import prepare_streams

__all__ = ["run_command"]

_EXIT_CODES = """\
exit codes:
  0    it worked; of 'run': the workflow succeeded
  1    of 'run': the workflow failed, which is recorded; of others: what was asked for cannot be done
  64   the command line or the input does not fit
  69   the store cannot be used
  75   stopped by SIGTERM; 130 by Ctrl-C. A run goes on when 'run' is called again with its --id
  78   of 'run': the run was cancelled
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def run_command(argv: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    prepare_streams()
    parser = _parser()
    arguments = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output has closed the pipe. Python would complain once more as it closes its standard
        # output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except PerdureError as error:
        if arguments.debug:
            traceback.print_exc()
        sys.stderr.write(f"perdure {arguments.called}: {error}\n")
        return _code(error)
    except OSError as error:
        # Such as a full disk under standard output. Unwritten output would fail again at the end.
        if arguments.debug:
            traceback.print_exc()
        where = error.filename or "standard output"
        sys.stderr.write(f"perdure {arguments.called}: {where} cannot be used: {error.strerror or error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _code(error: PerdureError) -> int:
    match error:
        case UsageError() | ValueProblem() | RunConflict():
            return ExitCode.USAGE
        case StoreError():
            return ExitCode.NOT_STARTED
        case RunNotFound() | RunError():
            return 1
        case _:
            return 1


def _parser() -> _Parser:
    parser = _Parser(
        prog="perdure",
        description="Durable Python workflows: what a step has done stays done, whatever dies.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, about: str, command: _Command) -> _Parser:
        return _added(commands.add_parser, name, about, command, called=name)

    _add_run(add)
    _add_worker(add)
    _add_queries(add)
    _add_changes(add)
    _add_logins(commands.add_parser)
    add("exec", "run one attempt of one run, named by the environment; for pods", _exec)
    about = "serve the embedded Postgres on the network, to try out a cluster; not for production"
    add("postgres", about, _postgres).add_argument(
        "action", nargs="?", choices=("restore",), help="bring a dump from standard input into one that runs"
    )
    return parser


_Command = Callable[[argparse.Namespace], int]
_Add = Callable[[str, str, _Command], _Parser]
_AddParser = Callable[..., _Parser]


def _added(add_parser: _AddParser, name: str, about: str, command: _Command, *, called: str) -> _Parser:
    added = add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    added.set_defaults(command=command, called=called)
    added.add_argument("--debug", action="store_true", help="show the traceback of an error of Perdure")
    return added


def _add_run(add: _Add) -> None:
    parser = add("run", "run a workflow on this machine, or go on with its run", _run)
    parser.add_argument("workflow", metavar="WORKFLOW", help="FILE:FUNCTION, module:function, or a manifest: FILE.yaml")
    parser.add_argument("--input", metavar="JSON", help="an object of arguments; or @FILE, or @- for standard input")
    parser.add_argument("--id", help="names the run: the same id and input again goes on with it, or tells its result")
    parser.add_argument("--backoff-limit", type=_count, metavar="N", help="crashes without progress (6)")
    _add_queue(parser)
    _add_output(parser, "how the outcome is printed on standard output")
    _add_database(parser)


def _add_worker(add: _Add) -> None:
    parser = add("worker", "claim runs of a queue and run them, until stopped", _worker)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="a module or file with workflows")
    parser.add_argument("--concurrency", type=_positive, metavar="N", help="the most runs at a time")
    parser.add_argument("--max-connections", type=_positive, metavar="N", help="the most connections to Postgres (20)")
    _add_queue(parser)
    _add_database(parser)


def _add_queries(add: _Add) -> None:
    parser = add("list", "list runs, newest first", _list)
    parser.add_argument("--state", action="append", metavar="STATE", help="only runs in this state; may be repeated")
    parser.add_argument("--id-prefix", metavar="PREFIX", help="only runs whose ids begin so")
    parser.add_argument("--workflow", metavar="MODULE:FUNCTION", help="only runs of this workflow")
    parser.add_argument("--since", metavar="TIME", help="only runs started since: 90s, 30m, 24h, 7d, or 2026-01-31")
    parser.add_argument("--limit", type=_positive, default=100, metavar="N", help="the most to list (100)")
    _add_queue(parser, default=None)
    _add_output(parser)
    _add_database(parser)
    parser = add("show", "show a run, its attempts and its steps", _show)
    parser.add_argument("id", metavar="ID", help="the run's id, or its UUID")
    _add_queue(parser)
    _add_output(parser)
    _add_database(parser)


def _add_changes(add: _Add) -> None:
    parser = add("cancel", "ask for a run to be cancelled", _cancel)
    parser.add_argument("id", metavar="ID", help="the run's id, or its UUID")
    parser.add_argument("--now", action="store_true", help="end it without cleaning up, or in the middle of that")
    _add_queue(parser)
    _add_database(parser)
    parser = add("delete", "delete a run that has ended, with all that is stored of it", _delete)
    parser.add_argument("id", metavar="ID", help="the run's id, or its UUID")
    parser.add_argument("--force", action="store_true", help="also one that has not ended; what runs of it is stopped")
    _add_queue(parser)
    _add_database(parser)
    parser = add("prune", "delete runs that ended long ago", _prune)
    parser.add_argument("--older-than", required=True, metavar="AGE", help="such as 12h or 7d, since their end")
    parser.add_argument("--state", action="append", metavar="STATE", help="only runs that ended so; may be repeated")
    _add_queue(parser, default=None)
    _add_database(parser)
    parser = add("migrate", "bring a database to this release's schema", _migrate)
    parser.add_argument("--pod-role", metavar="ROLE", help="a role that may do what pods need, and nothing else")
    parser.add_argument("--sql", action="store_true", help="print the grants for --pod-role instead of doing anything")
    _add_database(parser)
    parser = add("restored", "tell a database that it was restored from a backup: Workflows wait for you", _restored)
    _add_database(parser)


def _add_logins(add_parser: _AddParser) -> None:
    about = "logins of Postgres that are bound to a namespace of a cluster"
    parser = add_parser("logins", help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=_Parser)

    def add(name: str, about: str, command: _Command) -> _Parser:
        return _added(actions.add_parser, name, about, command, called=f"logins {name}")

    parser = add(
        "add", "make a login and print what its Secret holds; it has its password from nowhere else", _logins_add
    )
    parser.add_argument("--namespace", required=True, metavar="NAMESPACE", help="the namespace")
    parser.add_argument(
        "--owner", required=True, metavar="OWNER", help="cluster:UID, of kube-system, or of the operator's clusterId"
    )
    parser.add_argument("--purpose", choices=("pods", "reader"), default="pods", help="begin runs, or read them (pods)")
    parser.add_argument("--login", metavar="LOGIN", help="its name (made of the namespace's)")
    parser.add_argument(
        "--pod-role", default="perdure_pods", metavar="ROLE", help="'migrate --pod-role' (perdure_pods)"
    )
    parser.add_argument("--connection-limit", type=_positive, metavar="N", help="the most sessions that it may have")
    parser.add_argument("--host", metavar="HOST[:PORT]", help="the server as pods see it (as in the database's URL)")
    parser.add_argument("--secret", default="perdure-pod-database", metavar="NAME", help="(perdure-pod-database)")
    parser.add_argument("--key", default="url", metavar="KEY", help="the Secret's key with the URL (url)")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--new-password", action="store_true", help="it exists, and gets another password")
    change.add_argument("--existing", action="store_true", help="it exists, and is bound as it is")
    _add_database(parser)
    parser = add("list", "list them", _logins_list)
    _add_output(parser)
    _add_database(parser)
    parser = add("lock", "have one begin, read and log in no more, and end its sessions", _logins_lock)
    parser.add_argument("login", metavar="LOGIN", help="the login")
    _add_database(parser)


def _add_queue(parser: _Parser, default: str | None = "default") -> None:
    shown = "default" if default else "all"
    parser.add_argument("--queue", default=default, metavar="QUEUE", help=f"the queue ({shown})")


def _add_output(parser: _Parser, about: str = "how it is printed") -> None:
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help=f"{about} (text)")


def _add_database(parser: _Parser) -> None:
    parser.add_argument(
        "--database-url",
        type=_url,
        metavar="URL",
        help="a Postgres URL (PERDURE_DATABASE_URL, else the embedded database)",
    )


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version of Perdure, and leave")

    def __call__(self, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"perdure {version('perdure')}")
        sys.exit(0)


def _url(text: str) -> str:
    if not text:
        # Most likely a variable of a script that is not set: the embedded database would be another one.
        raise argparse.ArgumentTypeError("it is empty: name a database, or leave the option out")
    return text


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 is too few")
    return int(text)


# Each command is imported when it is called: together they would import everything.


def _run(arguments: argparse.Namespace) -> int:
    from .commands.run import run

    return run(arguments)


def _worker(arguments: argparse.Namespace) -> int:
    from .commands.worker import worker

    return worker(arguments)


def _exec(_arguments: argparse.Namespace) -> int:
    from .commands.exec import execute_attempt

    return execute_attempt()


def _list(arguments: argparse.Namespace) -> int:
    from .commands.inspection import list_runs

    return list_runs(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from .commands.inspection import show

    return show(arguments)


def _cancel(arguments: argparse.Namespace) -> int:
    from .commands.administration import cancel

    return cancel(arguments)


def _delete(arguments: argparse.Namespace) -> int:
    from .commands.administration import delete

    return delete(arguments)


def _prune(arguments: argparse.Namespace) -> int:
    from .commands.administration import prune

    return prune(arguments)


def _migrate(arguments: argparse.Namespace) -> int:
    from .commands.administration import migrate

    return migrate(arguments)


def _restored(arguments: argparse.Namespace) -> int:
    from .commands.administration import restored

    return restored(arguments)


def _logins_add(arguments: argparse.Namespace) -> int:
    from .commands.logins import add

    return add(arguments)


def _logins_list(arguments: argparse.Namespace) -> int:
    from .commands.logins import list_bound

    return list_bound(arguments)


def _logins_lock(arguments: argparse.Namespace) -> int:
    from .commands.logins import lock

    return lock(arguments)


def _postgres(arguments: argparse.Namespace) -> int:
    from .commands import network_server

    return network_server.restore() if arguments.action == "restore" else network_server.serve()

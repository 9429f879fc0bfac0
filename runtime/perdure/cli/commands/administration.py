"""`perdure cancel`, `delete`, `prune`, `migrate` and `restored`."""

from __future__ import annotations

from argparse import Namespace

from ...client import Client
from ...errors import UsageError
from ...local.durations import age
from ...local.store_target import open_target
from ...store.runs.model import RunState

__all__ = ["cancel", "delete", "migrate", "prune", "restored"]


def cancel(arguments: Namespace) -> int:
    """Request a run's cancellation."""
    with open_target(arguments.database_url) as place, Client(place.url, queue=arguments.queue) as client:
        asked = client.cancel(arguments.id, at_once=arguments.now)
        run = client.get(arguments.id)
    if not asked:
        print(f"{run.id} has ended already: {run.state}")
    elif run.state.ended:
        print(f"{run.id} is {run.state}")
    elif run.state is RunState.PENDING:
        print(f"{run.id} will be cancelled once it has cleaned up, for which it waits for a process")
    else:
        print(f"{run.id} will be cancelled; its process has been asked to")
    return 0


def delete(arguments: Namespace) -> int:
    """Delete a run."""
    with open_target(arguments.database_url) as place, Client(place.url, queue=arguments.queue) as client:
        client.delete(arguments.id, force=arguments.force)
    print(f"{arguments.id} is deleted")
    return 0


def prune(arguments: Namespace) -> int:
    """Delete runs that ended long ago."""
    try:
        from ...store.runs import prune as admin
    except ImportError as error:
        raise UsageError("'perdure prune' needs SQLAlchemy: pip install 'perdure[store]'") from error
    from ...store.runs.model import RunState

    older = age(arguments.older_than, "--older-than")
    try:
        states = [RunState(state) for state in arguments.state or admin.ENDED]
    except ValueError as error:
        raise UsageError(f"--state {' '.join(arguments.state)}: runs end {', '.join(admin.ENDED)}") from error
    with open_target(arguments.database_url) as place:
        pruned = admin.prune(place.url, older_than=older, states=states, queue=arguments.queue)
    print(f"{pruned} runs deleted")
    return 0


def migrate(arguments: Namespace) -> int:
    """Bring a database to this release's schema."""
    try:
        from ...store.schema.migrate import grants_sql
        from ...store.schema.migrate import migrate as migrate_database
    except ImportError as error:
        raise UsageError("'perdure migrate' needs SQLAlchemy and Alembic: pip install 'perdure[store]'") from error
    if arguments.sql:
        if arguments.pod_role is None:
            raise UsageError("--sql prints the grants of a role: name it with --pod-role")
        print(grants_sql(arguments.pod_role))
        return 0
    with open_target(arguments.database_url, migrated=False) as place:
        report = migrate_database(place.url, pod_role=arguments.pod_role)
    if report.changed:
        print(f"migrated from version {report.from_version} to {report.to_version}")
    elif report.newer:
        print(f"the schema has version {report.to_version}, of a newer release, which serves this one, too")
    else:
        print(f"the schema has version {report.to_version} already")
    return 0


def restored(arguments: Namespace) -> int:
    """Mark a database as restored from a backup."""
    from ...store.runs.restored import mark_restored

    with open_target(arguments.database_url) as place:
        report = mark_restored(place.url)
    print(
        f"this is the store {report.store_id} from now on; attempts that held a run in it: {report.superseded}, ended"
    )
    if report.unbound:
        print(
            f"logins of pods that are bound to no namespace: {', '.join(report.unbound)}; each begins the runs of all"
            " namespaces without a login of their own. Bind one that is a namespace's before the operator starts:"
            " perdure logins add --existing --login LOGIN --namespace NAMESPACE --owner OWNER. The chart's own Postgres"
            " needs no such help: its operator binds those of its namespaces as it starts"
        )
    return 0

"""Time limits of pods and attempts, and the seconds until the next reconcile (`LOOK_...`)."""

from __future__ import annotations

from typing import Final

START_DEADLINE: Final = 600.0
"""From the start of its container to the attempt's begin."""

BEGIN_TIME: Final = 10.0
"""From the start of its container to the attempt's begin, normally. Until then a silent process may be another one."""

TAKE_UP_DEADLINE: Final = 60.0
"""From a pod's binding to its node to the kubelet's first report about it, which normally takes a second."""

DEADLINE_OVERTIME: Final = 30.0
"""A process ends its run at the deadline. If it does not, the operator ends the run so many seconds later."""

DEFAULT_GRACE: Final = 30.0
"""`terminationGracePeriodSeconds`, if a podTemplate has none."""

LINGER: Final = 30.0
"""From the end of an attempt to the deletion of its pod: the kubelet reports the end late, and logs are to be read."""

LOOK_BEGIN: Final = 2.0
"""While a container runs and the attempt has not begun: a begin sends no notification."""

LOOK_START: Final = 15.0
"""While a pod is starting."""

LOOK_GONE: Final = 5.0
"""While a pod is missing, or being deleted."""

LOOK_RUNNING: Final = 30.0
"""While an attempt runs."""

LOOK_CAPACITY: Final = 15.0
"""While other runs hold the places."""

LOOK_REFUSED: Final = 30.0
"""Between two tries to create a pod that the API server rejects."""

LOOK_STALLED: Final = 60.0
"""While the Workflow is stalled: a person may mend a registry or a database, of which no event comes."""

LOOK_RESTING: Final = 600.0
"""While the Workflow is suspended: a change of its spec ends that, and brings an event."""

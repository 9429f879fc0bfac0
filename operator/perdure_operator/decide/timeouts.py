"""How long things may take, and how often to look again, in seconds."""

from __future__ import annotations

from typing import Final

START_DEADLINE: Final = 600.0
"""From the start of its container to the attempt's begin."""

BEGIN_TIME: Final = 10.0
"""From the start of its container to the attempt's begin, as a rule. Of silence before that, it is not to blame."""

TAKE_UP_DEADLINE: Final = 60.0
"""From a pod's binding to its node until the kubelet says the first word about it; one that lives does in a second."""

DEADLINE_OVERTIME: Final = 30.0
"""A process ends its run itself at the deadline; so much later it is done for it."""

DEFAULT_GRACE: Final = 30.0
"""`terminationGracePeriodSeconds`, where a podTemplate does not say."""

LINGER: Final = 30.0
"""From the end of an attempt to the deletion of its pod: the kubelet tells of ends late, and logs are worth a wait."""

LOOK_BEGIN: Final = 2.0
"""While a container runs and the attempt has not begun: nobody tells of a begin."""

LOOK_START: Final = 15.0
"""While a pod is on its way."""

LOOK_GONE: Final = 5.0
"""While a pod is out of sight, or going."""

LOOK_RUNNING: Final = 30.0
"""While an attempt runs."""

LOOK_CAPACITY: Final = 15.0
"""While others have the places."""

LOOK_REFUSED: Final = 30.0
"""From one try at a pod that the API server refuses to the next."""

LOOK_STALLED: Final = 60.0
"""While a person is waited for, who may mend what tells of no change: a registry, a database."""

LOOK_RESTING: Final = 600.0
"""While it is suspended: the Workflow's own change is what ends that."""

"""The images that a run's attempts have run: which are to be stored, and whether a tag has moved."""

from __future__ import annotations

from .actions import NoteImage
from .observed import Observed, Run

__all__ = ["images_to_note", "moved_tag"]


def images_to_note(observed: Observed) -> list[NoteImage]:
    """The images of the current and the last attempt that their pods show and the store lacks.

    An attempt that has not begun is left out: its process is about to write the same row.
    """
    run = observed.run
    if run is None:
        return []
    return [
        NoteImage(pod.claim, pod.image_id)
        for pod in observed.pods
        if pod.image_id is not None
        and pod.claim is not None
        and (
            (pod.claim == run.claim and run.begun and run.image is None)
            or (run.last is not None and pod.attempt == run.last.attempt and run.last.image is None)
        )
    ]


def moved_tag(observed: Observed) -> str | None:
    """A message, if the newest attempt runs another image than the first one under the same name; None otherwise.

    The operator's own runtime image has no name in a Workflow, and may be another one after an upgrade.
    """
    run, spec = observed.run, observed.workflow.spec
    if run is None or run.attempt < 2 or spec is None or spec.image is None:
        return None
    ran = _ran(observed, run)
    if len(ran) < 2:
        return None
    first, newest = min(ran), max(ran)
    before, now = ran[first], ran[newest]
    # Some runtimes report the digest of a manifest for pulled images and the digest of a configuration for others.
    if before == now or ("@" in before) != ("@" in now):
        return None
    return (
        f"attempt {newest} runs {_digest(now)}, and attempt {first} ran {_digest(before)}: the tag of {spec.image} has"
        " moved; name the image by its digest, and every attempt runs the same code"
    )


def _ran(observed: Observed, run: Run) -> dict[int, str]:
    """The known images, by attempt."""
    ran = {pod.attempt: pod.image_id for pod in observed.pods if pod.image_id and pod.attempt <= run.attempt}
    if run.first_image is not None:
        ran[run.first_image[0]] = run.first_image[1]
    if run.last is not None and run.last.image is not None:
        ran[run.last.attempt] = run.last.image
    if run.image is not None:
        ran[run.attempt] = run.image
    return ran


def _digest(image: str) -> str:
    return image.rpartition("@")[2]

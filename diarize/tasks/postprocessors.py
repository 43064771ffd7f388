"""Post-processors by the name of the task, without a dependency on the network."""

from diarize.errors import DiarizeError
from diarize.infer.languages import LANGUAGE
from diarize.infer.postprocess import SPEAKER, PostProcessor

POSTPROCESSORS: dict[str, PostProcessor] = {"speaker": SPEAKER, "language": LANGUAGE}


def postprocessor(task: str, where: str) -> PostProcessor:
    """Return the post-processor of ``task``; DiarizeError, naming ``where``, for another name."""
    if task not in POSTPROCESSORS:
        known = ", ".join(POSTPROCESSORS)
        raise DiarizeError(f"{where}: unknown task '{task}'; known: {known}")
    return POSTPROCESSORS[task]

"""The trial stage's line in the list of stages, after that of the vectors. Imported before all else in a process of its
own, it is as if somebody had written it there."""

import sys

from pipelines import stages

LINE = stages.StageLine(
    name="copies",
    place="trial_stage:Copies",
    does="embeddings -> their copies",
    command="copies",
    needs=("embeddings",),
    published=("copies",),
    day=stages.always,
)

assert "pipelines.console.commands" not in sys.modules, "expected the list of stages to be asked by nobody yet"
_PLACE = stages.STAGES.index(stages.line_of("embeddings")) + 1
stages.STAGES = (*stages.STAGES[:_PLACE], LINE, *stages.STAGES[_PLACE:])

"""Model cards in Hugging Face's format: https://huggingface.co/docs/hub/model-cards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from clinidistill import __version__
from clinidistill.types import SchemeScores, Scores

__all__ = ["model_card"]

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LIMITS = """\
## Intended use and limits

It marks mentions in clinical notes, for research and for people who check what it finds. It repeats what its teachers
get wrong, knows the kind of note that it learnt from, and marks mentions whether negated or not. It is no medical
device, and its output is to be checked before anyone acts on it.
"""


def model_card(
    name: str,
    labels: Sequence[str],
    *,
    kind: str = "token classifier (IOB2)",
    base: str = "",
    library: str | None = None,
    learnt: str = "",
    scores: Scores | None = None,
    tested_on: str = "",
    sections: Sequence[tuple[str, str]] = (),
) -> str:
    """Markdown with metadata as YAML in front.

    Args:
        name: of the student.
        labels: that it extracts.
        kind: what it is.
        base: what it was trained from: a hub's id goes into the metadata, of a path the last part is told.
        library: that loads it, by the hub's name.
        learnt: a paragraph on what it learnt from.
        scores: on a test set; F1 with intervals goes into the metadata.
        tested_on: what that test set is called.
        sections: more of them, title and Markdown, in front of those on use and limits.
    """
    of_hub = bool(_HUB_ID.fullmatch(base)) and not Path(base).exists()
    metadata = ModelCardData(
        base_model=base if of_hub else None,
        eval_results=None if scores is None else list(_results(scores, tested_on)),
        library_name=library,
        model_name=name,
        pipeline_tag="token-classification" if library else None,
        tags=["clinidistill", "clinical", "named-entity-recognition"],
    )
    parts = [
        f"---\n{metadata.to_yaml()}\n---\n\n# {name}",
        f"A {kind} for clinical notes, made with clinidistill {__version__}. It extracts:",
        "\n".join(f"- `{label}`" for label in labels),
        f"Base: `{base if of_hub else Path(base).name}`." if base else "",
        learnt,
        *(f"## {title}\n\n{body}" for title, body in sections),
        _USE,
        _LIMITS,
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _results(scores: Scores, tested_on: str) -> list[EvalResult]:
    found: list[EvalResult] = []
    for scheme in ("strict", "lenient"):
        of: SchemeScores = getattr(scores, scheme)
        for name, metrics in (("micro", of.micro), *of.per_label.items()):
            interval: dict[str, Any] | None = None
            if metrics.f1_interval is not None:
                interval = {"interval_95": [round(edge, 4) for edge in metrics.f1_interval]}
            found.append(
                EvalResult(
                    task_type="token-classification",
                    dataset_type="private",
                    dataset_name=tested_on or "test",
                    dataset_split="test",
                    metric_type="f1",
                    metric_name=f"{scheme} F1, {name}",
                    metric_value=round(metrics.f1, 4),
                    metric_args=interval,
                )
            )
    return found


_USE = """\
## Use

```python
import clinidistill as cd

student = cd.load_student("path/to/this/folder")
for document in student.predict(["Started metformin 500 mg."]):
    print(document.spans)
```
"""

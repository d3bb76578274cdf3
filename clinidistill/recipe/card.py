"""The model card of a distilled student, in Hugging Face's format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clinidistill import __version__
from clinidistill.recipe.results import System, markdown
from clinidistill.recipe.schema import Recipe

__all__ = ["model_card"]


def model_card(recipe: Recipe, systems: Iterable[System], documents: int, teachers: Sequence[str]) -> str:
    """Markdown with YAML front matter: what it extracts, what it learnt from, how well it does, what it is not for.

    Args:
        recipe: the run's recipe.
        systems: scored systems of the run.
        documents: how many silver-labelled documents it learnt from.
        teachers: names of the teachers.
    """
    rows = list(systems)
    base = recipe.student.options.get("base", "")
    found = sorted(next(row.scores.strict.per_label for row in rows if row.kind == "distilled"))
    labels = "\n".join(f"- `{label}`" for label in recipe.labels or found)
    made_by = ", ".join(f"`{name}`" for name in teachers)
    return f"""\
---
library_name: transformers
pipeline_tag: token-classification
tags:
- clinidistill
- clinical
- distillation
---

# {recipe.name}

A token classifier (IOB2) for clinical notes, distilled with clinidistill {__version__}. It extracts:

{labels}

Base: `{base}`. It learnt from {documents} documents with silver labels, made by {made_by} and combined by
`{recipe.aggregator.use}`. No human label was used but those of the dev set, which chose the epoch.

## Scores

F1 on the test documents of the run, strict (exact offsets and label) / lenient (overlap and label).

{markdown(rows)}

## Use

```python
import clinidistill as cd

student = cd.load_student("path/to/this/folder")
for document in student.predict(["Started metformin 500 mg."]):
    print(document.spans)
```

`transformers.pipeline("token-classification", model=...)` loads the folder too.

## Limits

It repeats what its teachers get wrong, knows the kind of note it was trained on, and marks mentions whether negated or
not. It is no medical device, and its output is to be checked before anyone acts on it.
"""

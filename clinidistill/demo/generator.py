"""Makes the demo notes, the same each time: ``python -m clinidistill.demo.generator`` writes them and the vocabularies.

Training and development notes share sentences and vocabulary; test notes are written with sentences of their own, and
a third of the vocabulary occurs in them only. What a teacher or student scores on the test notes is thus not memory.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from clinidistill.datasets.jsonl import JsonLines
from clinidistill.demo import SIZES, Split
from clinidistill.demo.layout import Layout, note_plan
from clinidistill.demo.lexicon import load_lexicon
from clinidistill.demo.patient import Patient, Piece
from clinidistill.demo.templates import Template, load_templates
from clinidistill.demo.vocabularies import write_vocabularies
from clinidistill.types import Document, Span

__all__ = ["generate"]

_SEED = 20240517
_IMAGING = re.compile(r"\b(CT|MRI|CXR|[Ii]maging|[Ss]can|Ultrasound|Radiograph|Biopsy|Gadolinium|Radiology)\b")
_WARD = re.compile(r"\b(Ppx|admitted|Disposition|discharge home|tomorrow|AM|serial|morning|ward|overnight)\b")
_OUTPATIENT = {"clinic", "phone", "consult", "walk_in", "reconciliation"}
_SPOKEN = {"nursing", "phone"}  # typed in haste
_AT_LENGTH = {"opening", "course", "social", "nursing", "phone", "subjective", "letter", "hospital"}


def generate(split: Split) -> Iterator[Document]:
    """The notes of a split, in order. ``meta`` tells each note's ``kind``, ``domain`` and ``templates`` (their ids)."""
    rng = random.Random(f"{_SEED}/{split}")
    domains = [domain for domain in load_lexicon() if domain != "general"]
    for n in range(SIZES[split]):
        yield _note(f"demo-{split}-{n + 1:03}", domains[n % len(domains)], rng, test=split == "test")


def _note(name: str, domain: str, rng: random.Random, *, test: bool) -> Document:
    kind, plan = note_plan(domain, rng)
    sections = load_templates("test" if test else "train")
    radiology = kind == "radiology"
    patient = Patient(
        rng,
        domain,
        test=test,
        slip=0.08 if kind in _SPOKEN else 0.03,
        imaging=radiology,
        outpatient=kind in _OUTPATIENT,
    )
    layout = Layout(rng)
    used: list[str] = []
    for title, count in plan:
        section = sections[title]
        chosen = _choose(section.templates, count, rng, imaging=patient.problem.imaged, ward=kind not in _OUTPATIENT)
        if title in _AT_LENGTH and rng.random() < 0.15:
            chosen.insert(rng.randint(1, len(chosen)), rng.choice(sections["aside"].templates))
        used += [template.id for template in chosen]
        layout.add(
            section,
            [
                list(patient.fill(template, fresh=section.listed, imaging=radiology or _speaks_of(_IMAGING, template)))
                for template in chosen
            ],
        )
    text, spans = _join(layout.pieces())
    return Document(name, text, tuple(spans), meta={"kind": kind, "domain": domain, "templates": used})


def _choose(
    templates: Iterable[Template], count: int, rng: random.Random, *, imaging: bool, ward: bool
) -> list[Template]:
    """Different templates in random order; one at most states the diagnosis, and imaging and a ward need a cause."""
    fitting = [t for t in templates if (imaging or not _speaks_of(_IMAGING, t)) and (ward or not _speaks_of(_WARD, t))]
    chosen: list[Template] = []
    for template in rng.sample(fitting, len(fitting)):
        stated = ("slot", "dx") in template.parts and any(("slot", "dx") in other.parts for other in chosen)
        if len(chosen) < count and not stated:
            chosen.append(template)
    return chosen


def _speaks_of(subject: re.Pattern[str], template: Template) -> bool:
    return any(subject.search(text) for kind, text in template.parts if kind == "text")


def _join(pieces: Iterable[Piece]) -> tuple[str, list[Span]]:
    text, spans = "", []
    for words, label in pieces:
        if label:
            spans.append(Span(len(text), len(text) + len(words), label))
        text += words
    return text, spans


def main() -> None:
    """Write all splits and vocabularies where the package keeps them."""
    folder = Path(__file__).parent
    for split in SIZES:
        JsonLines.write(generate(split), folder / "notes" / f"{split}.jsonl")
    write_vocabularies(folder / "terminologies")


if __name__ == "__main__":
    main()

"""Reading what a run left in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill.datasets import load_dataset
from clinidistill.errors import ConfigError, DataError
from clinidistill.recipe.results import System
from clinidistill.types import Document, Span

__all__ = ["RunFolder"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What a report is made of.

    Args:
        path: the folder.
        recipe: the resolved recipe, without secrets.
        environment: versions, seed and platform.
        stages: what was done, with seconds.
        systems: scored on the test documents.
        evidence: the data, agreement, ranking, costs.
        histories: the record of each training by name of the student's folder.
    """

    path: Path
    recipe: dict[str, Any]
    environment: dict[str, Any]
    stages: dict[str, Any]
    systems: tuple[System, ...]
    evidence: dict[str, Any]
    histories: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: str | Path) -> RunFolder:
        """What is in the folder.

        Raises:
            ConfigError: if it is no run folder, or the run has not come to its end.
            DataError: if a file is damaged.
        """
        folder = Path(path)
        needed = ("recipe.json", "environment.json", "stages.json", "scores.json", "evidence.json", "predictions.jsonl")
        if not (folder / "recipe.json").is_file():
            raise ConfigError(f"{folder} is no run folder; `clinidistill run RECIPE -o {folder}` makes one")
        if absent := [name for name in needed if not (folder / name).is_file()]:
            raise ConfigError(
                f"{folder} has no {absent[0]}: the run has not come to its end, or is of an older version; run it "
                "again, and it does what is left"
            )
        recipe, environment, stages, scores, evidence = (_json(folder / name) for name in needed[:5])
        try:
            systems = tuple(System.from_dict(each) for each in scores["systems"])
        except (KeyError, TypeError, ValueError) as error:
            reason = f"is damaged ({type(error).__name__}); delete it, and run again"
            raise DataError(reason, path=folder / "scores.json") from None
        histories = {file.stem.removeprefix("history-"): _json(file) for file in sorted(folder.glob("history-*.json"))}
        return cls(folder, recipe, environment, stages, systems, evidence, histories)

    def documents(self) -> Iterator[tuple[Document, dict[str, list[Span]]]]:
        """The test documents, each with every system's spans.

        Raises:
            DataError: if what systems said does not fit the documents.
        """
        file = self.path / "predictions.jsonl"
        gold = load_dataset("jsonl", path=self.path / "test.jsonl")
        with file.open(encoding="utf-8") as lines:
            for number, (document, line) in enumerate(zip(gold, lines, strict=True), 1):
                try:
                    said = json.loads(line)
                    if said["id"] != document.id:
                        raise ValueError("another document")
                    spans = {name: [Span.from_dict(span) for span in found] for name, found in said["spans"].items()}
                    for found in spans.values():
                        document.with_spans(found)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise DataError(
                        f"does not fit test.jsonl ({type(error).__name__}); delete it, and run again",
                        path=file,
                        line=number,
                    ) from None
                yield document, spans

    def card(self) -> str:
        """The student's model card, Markdown; empty if there is none."""
        file = self.path / "student" / "README.md"
        return file.read_text(encoding="utf-8") if file.is_file() else ""


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        value = None
    if not isinstance(value, dict):
        raise DataError("is damaged; delete it, and run again", path=file)
    return value

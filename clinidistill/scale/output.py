"""The output of a run: a folder that holds whole blocks only, and tells which run they are of.

run.json               what was run on what
part-NUMBER-ID.jsonl   the documents of a block, or .parquet
_bad/NUMBER-ID.jsonl   what could not be done there, if anything: id, place and reason, no text
_manifests/…           a block counts as written when its manifest is there, which comes last
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from io import BytesIO
from itertools import islice
from typing import Any

from clinidistill.datasets.columns import ROWS
from clinidistill.errors import ConfigError, DataError
from clinidistill.scale.blocks import Block
from clinidistill.scale.rows import Bad, Part
from clinidistill.scale.storage import Place
from clinidistill.types import Document

__all__ = ["BAD", "MANIFESTS", "RUN_FILE", "Manifest", "Output"]

RUN_FILE, MANIFESTS, BAD = "run.json", "_manifests", "_bad"

Manifest = dict[str, Any]
"""What is on record of a written block: ``block``, ``part``, ``rows``, ``bad``, ``bytes``, ``sha256``, ``model``,
``seconds``, ``worker`` (host and process), ``written``, and ``cost_usd`` where something was paid."""


class Output:
    """The folder of a run.

    Args:
        place: the folder.
        format: of its parts, ``"jsonl"`` or ``"parquet"``.
    """

    def __init__(self, place: Place, format: str):
        self.place, self.format = place, format

    @classmethod
    def of_run(cls, place: Place) -> tuple[Output, dict[str, Any]]:
        """The output of a run that is on record, and its record.

        Raises:
            DataError: if the folder is the output of none.
        """
        if RUN_FILE not in place.names():
            raise DataError(f"is no output of label_dataset or predict_dataset: it has no {RUN_FILE}", path=place.url)
        (run,) = place.read_json(RUN_FILE)
        return cls(place, str(run["format"])), run

    def begin(self, run: Mapping[str, Any], input_url: str, *, overwrite: bool) -> None:
        """Make the folder that of a run, which may have begun earlier.

        Args:
            run: what is run on what.
            input_url: where that lay, for people to read.
            overwrite: delete what another run has written here.

        Raises:
            ConfigError: if the folder holds another run's output, or other files.
        """
        there = self.place.names()
        if RUN_FILE in there:
            (before,) = self.place.read_json(RUN_FILE)
            differs = [name for name in run if run[name] != before.get(name)]
            if not differs and not overwrite:
                return
            if not overwrite:
                told = "; ".join(f"{name}: {before.get(name)!r} there, {run[name]!r} now" for name in differs)
                raise ConfigError(
                    f"{self.place.url} holds the output of another run ({told}); name another folder, or say "
                    "overwrite=True to delete it"
                )
            for folder in (MANIFESTS, BAD):  # manifests first: from here on nothing counts as written
                (self.place / folder).remove(*(self.place / folder).names())
            self.place.remove(*(name for name in there if name.startswith("part-")))
        elif there:
            raise ConfigError(f"{self.place.url} holds files that are of no run; name a new or an empty folder")
        (self.place / RUN_FILE).write_json({**run, "input_url": input_url})

    def manifests(self) -> dict[str, Manifest]:
        """Those of the blocks that are written, by block name; without a part of the size it tells, one counts for
        nothing."""
        names, sizes = sorted((self.place / MANIFESTS).names()), self.place.names()
        found = (self.place / MANIFESTS).read_json(*names)
        return {each["block"]: each for each in found if sizes.get(each["part"]) == each["bytes"]}

    def forget(self, blocks: Iterable[Block]) -> None:
        """Delete the manifests of blocks, such as those whose parts are gone."""
        place = self.place / MANIFESTS
        place.remove(*(place.names().keys() & {f"{block.name}.json" for block in blocks}))

    def manifest(self, block: Block) -> Manifest | None:
        """That of one block, if it is written."""
        if not self._manifest(block).exists():
            return None
        (manifest,) = (self.place / MANIFESTS).read_json(f"{block.name}.json")
        return manifest

    def write(self, block: Block, marked: Iterable[Document | Bad], record: Mapping[str, Any]) -> Manifest:
        """Write a block, its side table and, last, its manifest.

        Args:
            block: the block.
            marked: its documents, as they come, and what could not be done.
            record: what else the manifest is to tell; asked when all is marked.

        Raises:
            DataError: if it cannot be written.
        """
        started, bad = time.monotonic(), list[Bad]()
        with tempfile.TemporaryFile() as draft:  # nameless, so that a killed worker leaves no notes behind
            with closing(Part(draft, self.format)) as part:
                rows = iter(marked)
                while chunk := list(islice(rows, ROWS)):
                    bad += [each for each in chunk if isinstance(each, Bad)]
                    if documents := [each for each in chunk if isinstance(each, Document)]:
                        bad += part.add(documents)
            draft.seek(0)
            sha256, size = hashlib.file_digest(draft, "sha256").hexdigest(), draft.tell()
            draft.seek(0)
            (self.place / self._part(block)).put(draft)
        side = self.place / BAD / f"{block.name}.jsonl"
        if bad:
            table = [
                {"id": each.id, "block": block.name, "file": block.url, "at": each.at, "reason": each.reason}
                for each in bad
            ]
            side.put(BytesIO("".join(json.dumps(row) + "\n" for row in table).encode()))
        elif side.exists():  # by a worker that died before the block counted, and failed where this one did not
            side.parent.remove(f"{block.name}.jsonl")
        manifest = {
            "block": block.name,
            "part": self._part(block),
            "input": {"file": block.url, "begin": block.begin, "end": block.end},
            "rows": part.rows,
            "bad": len(bad),
            "bytes": size,
            "sha256": sha256,
            "seconds": round(time.monotonic() - started, 3),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "written": time.time(),
            **record,
        }
        self._manifest(block).write_json(manifest)
        return manifest

    def _part(self, block: Block) -> str:
        return f"part-{block.name}.{self.format}"

    def _manifest(self, block: Block) -> Place:
        return self.place / MANIFESTS / f"{block.name}.json"

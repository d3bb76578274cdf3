"""A demo corpus: made-up clinical notes with exact gold spans, and incomplete vocabularies to teach from.

No patient is behind any of it. ``python -m clinidistill.demo.generator`` makes the notes and vocabularies again from
the lexicon and the templates that lie here.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["SIZES", "Split"]

Split = Literal["train", "dev", "test"]
SIZES: dict[Split, int] = {"train": 180, "dev": 40, "test": 80}
"""Notes in each split."""

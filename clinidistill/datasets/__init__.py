"""Datasets: documents read from and written to the formats that corpora come in; one file a format."""

from __future__ import annotations

from typing import Any, cast

from clinidistill.datasets.base import Dataset, MemoryDataset, as_dataset
from clinidistill.registry import registry

__all__ = ["Dataset", "MemoryDataset", "as_dataset", "load_dataset", "register_dataset"]

register_dataset = registry("datasets").register
"""Class decorator: makes a :class:`Dataset` loadable by a name."""


def load_dataset(name: str, /, **options: Any) -> Dataset:
    """The dataset format or corpus called `name`.

    Args:
        name: a format (``"jsonl"``, ``"brat"``, …), a corpus (``"ncbi-disease"``, ``"n2c2-2018-track2"``, …), or a
            plugin's; ``clinidistill.available("datasets")`` lists them.
        options: as that dataset takes them; most take ``path``, ``labels`` and ``on_error``, corpora ``split`` as well.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Dataset, registry("datasets").create(name, **options))

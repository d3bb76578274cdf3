"""Students: small models that learn to do the teachers' work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from clinidistill.bases import METADATA_FILE, read_metadata
from clinidistill.component import Component
from clinidistill.errors import ConfigError
from clinidistill.types import Document

if TYPE_CHECKING:
    from clinidistill.datasets import Dataset
    from clinidistill.distiller.history import History
    from clinidistill.distiller.settings import Settings

__all__ = ["CARD_FILE", "METADATA_FILE", "Doubts", "Student", "as_documents", "entropy", "read_metadata"]


CARD_FILE = "README.md"
"""Name of the model card in a student's folder."""


class Doubts(NamedTuple):
    """Where in a note a student is unsure: places and the entropy there.

    Args:
        starts: offsets of the first characters.
        bits: entropy of what the student thinks of each place, 0 where it is sure.
    """

    starts: NDArray[np.int64]
    bits: NDArray[np.float64]


class Student(Component, ABC):
    """A model that extracts spans, can be saved, and comes back the same.

    :meth:`predict` takes notes as strings or documents and streams documents back in order.
    """

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The labels it extracts; empty before it was trained."""

    @abstractmethod
    def predict(self, documents: Iterable[Document | str], **options: Any) -> Iterator[Document]:
        """The documents with its spans in place of theirs, lazily and in order; strings get ids ``"0"``, ``"1"``, …"""

    def doubts(self, documents: Iterable[Document | str]) -> Iterator[Doubts]:
        """How unsure it is of each document, in order; :func:`clinidistill.select` asks.

        Unless a student knows better, by the scores of the spans that it predicts: a span of score .5 is one bit.
        """
        for document in self.predict(documents):
            likely = np.array([1.0 if span.score is None else span.score for span in document.spans])
            starts = np.array([span.start for span in document.spans], dtype=np.int64)
            yield Doubts(starts, entropy(np.stack([likely, 1 - likely], axis=-1)))

    def learn(self, train: Dataset, dev: Sequence[Document] | None, settings: Settings) -> History:
        """Learn from labelled documents. The Distiller calls it of a student that has its own way.

        Args:
            train: labelled documents, to be read as often as needed; a label outside a document's ``covers`` is neither
                there nor absent.
            dev: labelled documents to choose the best state by, if any.
            settings: those of the Distiller, as far as they mean something here.

        Returns:
            The record of the training.

        Raises:
            ConfigError: if it cannot learn so, or there is nothing to learn from.
        """
        raise ConfigError(f"{type(self).__name__} cannot be trained: it is no TrainableStudent, and has no learn()")

    @abstractmethod
    def save(self, path: str | Path, *, card: str | None = None) -> None:
        """Write it to a folder that :func:`clinidistill.load_student` brings back.

        Args:
            path: the folder; made if absent.
            card: text of a model card (Markdown); a short one is written where it is None.
        """

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: SecretStr | str | None = None) -> str:
        """Save it and upload the folder to a Hugging Face hub, model card and all.

        A trained model can give away what it was trained on: upload one only if those who can read it may know.

        Args:
            repo_id: such as ``"our-team/drug-ner"``; made if absent.
            private: whether a repository that is made is private.
            token: of the hub; None takes that of ``hf auth login`` or of the variable HF_TOKEN.

        Returns:
            The address of the repository.

        Raises:
            ConfigError: if the hub cannot be reached, or refuses.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        secret = token.get_secret_value() if isinstance(token, SecretStr) else token
        hub = HfApi(token=secret)
        with TemporaryDirectory() as folder:
            self.save(folder)
            try:
                address = str(hub.create_repo(repo_id, private=private, exist_ok=True))
                hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with clinidistill")
            except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                reason = f"the hub answered {status}" if status else type(error).__name__
                raise ConfigError(
                    f"could not upload to {repo_id!r}: {reason}; `hf auth login` signs in, HF_ENDPOINT names the hub"
                ) from None
        return address

    def export(
        self,
        format: str,
        folder: str | Path,
        *,
        quantize: str | None = None,
        calibration: Iterable[Document | str] | None = None,
    ) -> Student:
        """Write it to a folder in a form that others run, too, or that runs faster.

        Args:
            format: name of the form, such as ``"onnx"``.
            folder: where to; made if absent. :func:`clinidistill.load_student` brings the exported student back.
            quantize: smaller numbers to compute in, such as ``"int8"``; None keeps fp32.
            calibration: notes like those that it will read, to fit such numbers to.

        Returns:
            The exported student.

        Raises:
            ConfigError: if it cannot be exported so.
        """
        raise ConfigError(f"{type(self).__name__} cannot be exported to {format!r}")

    @classmethod
    @abstractmethod
    def load(cls, path: str | Path) -> Self:
        """The student saved in a folder; it predicts what it predicted before.

        Raises:
            DataError: if the folder does not hold one.
        """


def entropy(likely: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy in bits of distributions along the last axis."""
    shares = np.clip(likely.astype(np.float64), 1e-12, 1.0)
    bits: NDArray[np.float64] = -(likely * np.log2(shares)).sum(axis=-1)
    return bits


def as_documents(documents: Iterable[Document | str]) -> Iterator[Document]:
    """Strings as documents, numbered from 0 by their place; documents as they are.

    Raises:
        ConfigError: if it is one note, whose characters would be taken for notes.
    """
    if isinstance(documents, (str, Document)):
        raise ConfigError("predict takes several notes; put a single one in a list: predict([note])")
    return (
        document if isinstance(document, Document) else Document(str(number), document)
        for number, document in enumerate(documents)
    )

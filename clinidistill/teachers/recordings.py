"""Where recorded answers are kept: files of JSON lines, and label stores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clinidistill.component import digest
from clinidistill.database import check_place, is_server, open_database
from clinidistill.datasets.files import decode, located, read_lines
from clinidistill.errors import ConfigError, DataError, OptionError, ProviderError
from clinidistill.llm.answers import AnswerLog
from clinidistill.llm.provider import Provider
from clinidistill.llm.types import Reply
from clinidistill.registry import registry
from clinidistill.types import Document
from clinidistill.types.document import document_key

__all__ = ["Recorded", "Recording", "open_recording"]

_SQLITE = b"SQLite format 3\0"
_APIS = ("openai", "gemini", "anthropic")
_TEXT_KEYS = ("response", "answer", "output", "text")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer about ``text[start:stop]`` of a document; a `stop` of None is its end."""

    reply: Reply
    start: int = 0
    stop: int | None = None
    sample: int = 0


class Recording(Protocol):
    """The answers of one model to one prompt.

    Attributes:
        name: what model and prompt are called; empty when nobody said.
    """

    name: str

    @property
    def content_hash(self) -> str:
        """Hash of the answers, wherever they lie."""

    def texts(self) -> Iterator[str]:
        """What the model wrote, answer by answer."""

    def of(self, document: Document) -> Iterable[Recorded]:
        """The answers about one document."""


def open_recording(
    path: str | Path, model: str | None, prompt: str | None, provider: str | Provider | None
) -> Recording:
    """The chosen answers of a file; see :class:`~clinidistill.teachers.recorded.RecordedTeacher`.

    Raises:
        ConfigError: if the choice is empty or ambiguous, or no API can read a store's answers.
        DataError: with file and line, if a line is no answer, or the file cannot be read.
        StoreError: if a store cannot be read.
    """
    check_place(path)
    if is_server(path):
        return _Stored(path, model, prompt, provider)
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            is_store = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    if is_store:
        return _Stored(path, model, prompt, provider)
    if provider is not None:
        raise OptionError("provider= is for the raw answers in a label store; those in a file are plain text")
    return _Filed(path, model, prompt)


class _Filed:
    """Answers in a file of JSON lines."""

    def __init__(self, path: Path, model: str | None, prompt: str | None):
        lines = list(_parsed(path))
        if not lines:
            raise DataError("the file holds no answers", path=path)
        model = _chosen(path, "model", model, {line.model for line in lines})
        lines = [line for line in lines if line.model == model]
        prompt = _chosen(path, "prompt", prompt, {line.prompt for line in lines})
        self.name = "/".join(filter(None, (model, prompt)))
        self._text: dict[str, str] = {}
        for line in lines:
            if line.prompt == prompt and self._text.setdefault(line.id, line.text) != line.text:
                raise DataError(f"a second answer about {line.id!r}, unlike the first", path=path, line=line.number)

    @property
    def content_hash(self) -> str:
        return digest(self._text)

    def texts(self) -> Iterator[str]:
        return iter(self._text.values())

    def of(self, document: Document) -> Iterator[Recorded]:
        text = self._text.get(document.id)
        if text is None and "id" in document.meta:
            text = self._text.get(str(document.meta["id"]))
        if text is not None:
            yield Recorded(Reply(text))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    id: str
    text: str
    model: str | None
    prompt: str | None


def _parsed(path: Path) -> Iterator[_Line]:
    for number, raw in read_lines(path):
        if raw.strip():
            with located(path, number):
                yield _line(number, decode(raw, path, number).strip())


def _line(number: int, line: str) -> _Line:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"no JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise DataError("a number too long or nesting too deep to read") from None
    if not isinstance(data, dict):
        raise DataError(f"a line must be one object, not a {type(data).__name__}")
    id_ = data.get("id")
    if isinstance(id_, bool) or not isinstance(id_, (str, int)):
        raise DataError("an answer needs 'id', a string or an integer: the id of its document")
    text = next((data[key] for key in _TEXT_KEYS if key in data), None)
    if not isinstance(text, str):
        raise DataError("an answer needs 'response', a string: what the model wrote")
    for key in ("model", "prompt"):
        if not isinstance(data.get(key), (str, type(None))):
            raise DataError(f"an answer's {key!r} must be a string, or absent")
    return _Line(number, str(id_), text, data.get("model"), data.get("prompt"))


class _Stored:
    """Raw answers in a label store, read with the API that gave them."""

    def __init__(self, place: str | Path, model: str | None, prompt: str | None, provider: str | Provider | None):
        self._database = open_database(place, (), "SELECT count(*) FROM answer WHERE 1 = 0", read_only=True)
        path = self._database.path
        self._log = AnswerLog(self._database)
        there = self._database.query(
            "SELECT teacher, model, count(*) FROM answer WHERE body IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC"
        )
        if not there:
            raise ConfigError(f"{path}: the store holds no answers of a language model")
        if model is not None:
            _chosen(path, "model", model, {named for _, named, _ in there})
        askers = {teacher for teacher, named, _ in there if model in (None, named)}
        full = next((teacher for teacher in sorted(askers) if prompt and teacher.startswith(prompt)), prompt)
        self._teacher = _chosen(path, "prompt", full, askers)
        self._model = model
        self.name = (
            next(named for teacher, named, _ in there if teacher == self._teacher and model in (None, named)) or ""
        )
        self._provider = _reader(provider, next(self._bodies()))

    @property
    def content_hash(self) -> str:
        return digest(self._rows("document, start, stop, sample, turn, body"))

    def texts(self) -> Iterator[str]:
        return (reply.text for body in self._bodies() if (reply := self._reply(body)) is not None)

    def of(self, document: Document) -> Iterator[Recorded]:
        for teacher, start, stop, sample, body in self._log.of_document(document_key(document), self._model):
            if teacher == self._teacher and (reply := self._reply(body)) is not None:
                yield Recorded(reply, start, stop, sample)

    def _bodies(self) -> Iterator[bytes]:
        return (bytes(body) for (body,) in self._rows("body"))

    def _rows(self, columns: str) -> list[Any]:
        return self._database.query(
            f"SELECT {columns} FROM answer WHERE teacher = ? AND body IS NOT NULL "  # noqa: S608
            "AND (CAST(? AS TEXT) IS NULL OR model = ?) ORDER BY document, start, stop, sample, turn",
            (self._teacher, self._model, self._model),
        )

    def _reply(self, body: bytes) -> Reply | None:
        return _read(self._provider, body)


def _chosen(path: str | Path, option: str, wanted: str | None, there: set[str | None]) -> str | None:
    """The model or prompt that is meant: the one that is named, or the only one."""
    listed = ", ".join(sorted(name or "(none)" for name in there))
    if wanted is not None and wanted not in there:
        raise ConfigError(f"{path}: no answers with {option}={wanted!r}; there are: {listed}")
    if wanted is None and len(there) > 1:
        raise ConfigError(f"{path}: answers with several {option}s; choose one with {option}=: {listed}")
    return wanted if wanted is not None else next(iter(there))


def _reader(provider: str | Provider | None, body: bytes) -> Provider:
    """The API that a body is read with: the named one, or the first built-in one that can."""
    if isinstance(provider, Provider):
        return provider
    for name in _APIS if provider is None else (provider,):
        found: Provider = registry("providers").create(name, model="recorded")
        if provider is not None or _read(found, body) is not None:
            return found
    raise ConfigError("no built-in API can read the store's answers; name the one that gave them with provider=")


def _read(provider: Provider, body: bytes) -> Reply | None:
    import httpx

    try:
        return provider.read(httpx.Response(200, content=body))
    except ProviderError:
        return None

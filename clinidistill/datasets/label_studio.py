"""Label Studio: a JSON list of tasks, with a model's predictions or people's annotations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.files import Block, FileDataset, OnError, each_once, encode, quoted
from clinidistill.datasets.json_items import json_objects
from clinidistill.datasets.offsets import OffsetMap, OffsetUnit, check_unit, refuse_shifted
from clinidistill.datasets.travelling import contiguous, json_line, packed, unpacked
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["LabelStudio", "labelling_config"]

_KEYS = frozenset({"id", "text", "covers", "meta"})


@dataclass(frozen=True, slots=True)
class _Task(Block):
    """One task of a file, read as JSON."""

    data: Any = None


class LabelStudio(FileDataset):
    """Label Studio's JSON: tasks with ``data``, ``annotations`` (by people) and ``predictions`` (by models).

    Reading takes a person's annotation before any prediction: the one marked as ground truth, else the one updated
    last; cancelled ones (skipped tasks) never. A task with no annotation but cancelled ones, and one with neither
    annotation nor prediction, is unlabelled: it covers no label. Without annotations the spans of all predictions are
    read, with ``model_version`` as their source. Results of other types than ``labels`` are passed over, and so are
    regions without a label.

    Writing makes one prediction a source, so that Label Studio shows them as pre-annotations. The document's id, its
    ``covers`` and ``meta`` travel in ``data``, which Label Studio hands back untouched.

    Offsets count code points, and ``\\r\\n`` as two, in Label Studio (since 1.4) as in ours. Each mention that a file
    quotes must be what the text has there.

    Args:
        path: a file, a folder, or a glob; exported as JSON, not JSON-MIN.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        text_field: the key in ``data`` that holds the text, what the labelling configuration calls ``$text``.
        predictions: whether to read predictions where nobody has annotated; False leaves such tasks unlabelled, so
            that an export of a half-finished project holds people's judgements only.
        offsets: what offsets count: ``"utf-16"`` code units in exports of versions before 1.4.
        check: whether a document is refused whose spans, where the file quotes no mentions, cut words, and would not
            if offsets counted something else.

    Raises:
        OptionError: if `offsets` is none of the units.

    The format: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions
    """

    suffixes = (".json", ".json.gz")

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        text_field: str = "text",
        predictions: bool = True,
        *,
        offsets: OffsetUnit = "code-points",
        check: bool = True,
    ):
        check_unit(offsets)
        super().__init__(path, labels, on_error)
        self.text_field = text_field
        self.predictions = predictions
        self.offsets = offsets
        self.check = check

    def blocks(self) -> Iterator[Block]:
        for name, path in self.files().items():
            for number, (line, data) in enumerate(json_objects(path, begins="["), 1):
                yield _Task(path, name, number, ((line, b""),), data)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Task)
        try:
            return self.select(self._document(block.data))
        except (DataError, SpanError) as error:
            raise DataError(f"task {block.number}: {error}") from None
        except OverflowError:
            raise DataError(f"task {block.number}: a score must lie in [0, 1]") from None

    def _document(self, task: dict[str, Any]) -> Document:
        data = _checked(task.get("data"), dict, "'data' (export as JSON, not JSON-MIN)")
        text = _checked(
            data.get(self.text_field), str, f"'data' needs {self.text_field!r} (see the option text_field);"
        )
        key = data.get("id", task.get("id"))
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise DataError("a task needs an 'id', a string or an integer")
        bare = unpacked(str(key), text, data, _KEYS | {self.text_field})
        annotations = _objects(task, "annotations")
        if judged := [each for each in annotations if each.get("was_cancelled") is not True]:
            return bare.with_spans(dict.fromkeys(self._spans(_final(judged), text, None)), bare.covers)
        predictions = _objects(task, "predictions") if self.predictions else []
        if annotations or not predictions:
            return bare.with_spans((), ())  # nobody looked for anything
        spans = [span for each in predictions for span in self._spans(each, text, each.get("model_version"))]
        return bare.with_spans(spans, bare.covers)

    def _spans(self, annotation: dict[str, Any], text: str, source: object) -> Iterator[Span]:
        offsets, unquoted = OffsetMap(text, self.offsets), list[tuple[int, int]]()
        for item in _objects(annotation, "result"):
            if item.get("type") != "labels":
                continue
            value = _checked(item.get("value"), dict, "a result's 'value'")
            if not {"start", "end"} <= value.keys():
                raise DataError("a result's 'value' needs start and end")
            for label in _checked(value.get("labels") or [], list, "a result's 'labels'"):
                score = item.get("score")
                source = source if isinstance(source, str) and source else None
                theirs = Span(value["start"], value["end"], label, 1.0 if score is None else score, source)
                span = replace(theirs, start=offsets.inward(theirs.start), end=offsets.inward(theirs.end))
                mention = value.get("text")
                if not isinstance(mention, str):
                    unquoted.append((theirs.start, theirs.end))
                elif mention != text[span.start : span.end]:
                    quoted(text, span, mention.replace("\\n", "\n"))  # some versions write line feeds as two characters
                yield span
        if self.check:
            refuse_shifted(text, unquoted, self.offsets)

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write tasks with predictions, streaming; the file appears whole or not at all. Returns how many.

        Codes have no place in the format and are left out.

        Raises:
            DataError: if a span is discontinuous, two documents have one id, a text is not UTF-8, ``meta`` is not
                JSON, or the file cannot be written.
        """
        count = 0
        with replacing_file(path) as file:
            for document in each_once(documents):
                task = encode(json_line(_task(document), document), document)
                file.write((b",\n" if count else b"[\n") + task)
                count += 1
            file.write(b"\n]\n" if count else b"[]\n")
        return count


def labelling_config(labels: Iterable[str]) -> str:
    """The labelling configuration (XML) of a Label Studio project for these labels; paste it in under Code.

    White space is shown as it is, since clinical notes are laid out with it. Hotkeys are 1 to 9.

    The tags: https://labelstud.io/tags/labels and https://labelstud.io/tags/text

    >>> print(labelling_config(["medication", "symptom"]))
    <View>
      <Style>.htx-text { white-space: pre-wrap; }</Style>
      <Labels name="label" toName="text">
        <Label value="medication" hotkey="1"/>
        <Label value="symptom" hotkey="2"/>
      </Labels>
      <Text name="text" value="$text"/>
    </View>
    """
    rows = [
        f"    <Label value={quoteattr(label)}" + (f' hotkey="{number}"/>' if number < 10 else "/>")
        for number, label in enumerate(labels, 1)
    ]
    head = ["<View>", "  <Style>.htx-text { white-space: pre-wrap; }</Style>", '  <Labels name="label" toName="text">']
    return "\n".join([*head, *rows, "  </Labels>", '  <Text name="text" value="$text"/>', "</View>"])


def _final(annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """The annotation to go by: ground truth first, then the one updated last, then the last."""
    return max(
        reversed(annotations), key=lambda each: (each.get("ground_truth") is True, str(each.get("updated_at") or ""))
    )


def _task(document: Document) -> dict[str, Any]:
    results: dict[str | None, list[dict[str, Any]]] = {} if document.spans else {None: []}
    for number, span in enumerate(document.spans):
        contiguous(document, span, "Label Studio")
        value = {"start": span.start, "end": span.end, "text": document.mention(span), "labels": [span.label]}
        region: dict[str, Any] = {"id": f"m{number}", "from_name": "label", "to_name": "text", "type": "labels"}
        results.setdefault(span.source, []).append({**region, "value": value, "score": span.score})
    if not document.spans and document.covers == frozenset():
        results = {}  # nobody looked: no prediction, not one that found nothing
    predictions = [
        {
            **({} if source is None else {"model_version": source}),
            "score": sum(region["score"] for region in regions) / max(len(regions), 1),
            "result": regions,
        }
        for source, regions in results.items()
    ]
    return {"data": packed(document, _KEYS), "predictions": predictions}


def _objects(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = _checked(data.get(key) or [], list, f"{key!r}")
    return [_checked(each, dict, f"each of {key!r}") for each in found]


def _checked(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise DataError(f"{what} must be of the kind {kind.__name__}, not {type(value).__name__}")
    return value

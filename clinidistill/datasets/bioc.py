"""BioC, XML and JSON: passages at offsets, with annotations; what NCBI gives out, PubTator 3 among others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.files import Block, FileDataset, OnError, each_once, encode, located
from clinidistill.datasets.json_items import json_objects
from clinidistill.datasets.offsets import OffsetMap, OffsetUnit, check_unit, length
from clinidistill.datasets.travelling import json_line
from clinidistill.datasets.xml_files import XmlReader, chunks, xml_attribute, xml_text
from clinidistill.errors import ConfigError, DataError, OptionError, SpanError
from clinidistill.types import Document, Span

__all__ = ["BioC"]

_ENDINGS = (".bioc.xml", ".bioc.json", ".BioC.xml", ".BioC.XML", ".BioC.json", ".BioC.JSON", ".biocxml", ".biocjson")
_LISTS = {"passage": "passages", "sentence": "sentences", "annotation": "annotations", "relation": "relations"}
_LINE = "\0line"
"""Key of the line that an XML element begins on; no XML has such a name."""

_NUMBER = re.compile(r"\s*[0-9]{1,15}\s*")
_NO_CODE = {"", "-"}
_LONGEST_GAP = 10_000_000
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
    "<collection><source>clinidistill</source><date></date><key></key>\n"
)


@dataclass(frozen=True, slots=True)
class _Item(Block):
    """One document of a file, as the JSON has it."""

    data: Any = None


class BioC(FileDataset):
    """BioC, XML or JSON: documents of passages at offsets, with annotations.

    The text is the passages (or their sentences) put at their offsets; a gap between two becomes a line feed, with
    spaces before it if it is longer. An annotation's locations become a span, several its fragments; one without
    location is passed over, and so are relations. Infons of the annotation are the label, the code (``-`` and empty:
    none), ``score`` and ``source``; infons of the document are its ``meta``.

    A file is taken for what it begins with: ``<`` is XML, ``{`` and ``[`` JSON: a collection, a list of documents or
    collections, PubTator 3's ``{"PubTator3": […]}``, or a document a line.

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`. Annotations with another label are passed over, faulty or not.
        on_error: see :class:`FileDataset`. XML and JSON that are not well-formed are errors either way.
        label_infon: the infon that holds the label.
        code_infon: the infon that holds the code.
        offsets: what offsets count: ``"code-points"``, ``"utf-8"`` bytes or ``"utf-16"`` code units. BioC leaves it
            open.
        check: whether each annotation's text must agree with the document's, white space aside. PubTator normalises
            some (``TNF-a`` for ``TNF-α``), which False lets pass.

    Raises:
        OptionError: if `offsets` is none of these.

    The format: https://bioc.sourceforge.net/ and Comeau et al. 2013, https://doi.org/10.1093/database/bat064
    """

    suffixes = (*_ENDINGS, *(f"{ending}.gz" for ending in _ENDINGS))

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        *,
        label_infon: str = "type",
        code_infon: str = "identifier",
        offsets: OffsetUnit = "code-points",
        check: bool = True,
    ):
        check_unit(offsets)
        if offsets == "graphemes":
            raise OptionError("BioC counts code points, utf-8 bytes or utf-16 code units, not graphemes")
        super().__init__(path, labels, on_error)
        self.label_infon = label_infon
        self.code_infon = code_infon
        self.offsets = offsets
        self.check = check

    def blocks(self) -> Iterator[Block]:
        for name, path in self.files().items():
            head = next(chunks(path), b"").removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            if head not in (b"<", b"[", b"{"):
                raise DataError("neither XML nor JSON; BioC is one of the two", path=path, line=1)
            items = _xml_documents(path) if head == b"<" else json_objects(path, ("documents", "PubTator3"))
            for number, (line, data) in enumerate(items, 1):
                yield _Item(path, name, number, ((line, b""),), data)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Item)
        data = block.data
        key = data.get("id")
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise DataError("a document needs an 'id'")
        if not isinstance(data.get("passages"), list):
            raise DataError(f"document {str(key)!r} has no passages")
        passages = _objects(data, "passages")
        sentences = [sentence for passage in passages for sentence in _objects(passage, "sentences")]
        text = self._text(passages)
        offsets = OffsetMap(text, self.offsets)
        spans = []
        for annotation in chain.from_iterable(_objects(each, "annotations") for each in [data, *passages, *sentences]):
            with located(block.path, annotation.get(_LINE, block.line)):
                try:
                    span = self._span(annotation, text, offsets)
                except (SpanError, DataError) as error:
                    raise DataError(f"annotation {annotation.get('id')!r}: {error}") from None
                if span is not None:
                    spans.append(span)
        covers, meta = _travelled(_infons(data))
        return self.select(Document(str(key), text, tuple(dict.fromkeys(spans)), covers, meta))

    def _text(self, passages: list[dict[str, Any]]) -> str:
        """The passages put at their offsets."""
        pieces = []
        for passage in passages:
            sentences = _objects(passage, "sentences")
            parts = [passage] if passage.get("text") or not sentences else sentences
            pieces += [(_number(part, "offset"), part.get("text") or "") for part in parts]
        out, at = list[str](), 0
        for offset, piece in sorted(pieces, key=lambda each: each[0]):
            if not isinstance(piece, str):
                raise DataError("a passage's text must be a string")
            if not piece:
                continue
            gap = offset - at
            if not 0 <= gap <= _LONGEST_GAP:
                where = "begins inside the one before it" if gap < 0 else f"begins {gap} characters after the last one"
                raise DataError(
                    f"the passage at offset {offset} {where}; check what offsets count here (the option offsets)"
                )
            if gap:
                out.append("\n".rjust(gap))
            out.append(piece)
            at = offset + length(piece, self.offsets)
        return "".join(out)

    def _span(self, annotation: dict[str, Any], text: str, offsets: OffsetMap) -> Span | None:
        infons = _infons(annotation)
        label = infons.get(self.label_infon)
        if self.labels is not None and label not in self.labels:
            return None
        places = sorted(
            (_number(each, "offset"), _number(each, "length")) for each in _objects(annotation, "locations")
        )
        if not places:
            return None
        if not isinstance(label, str) or not label:
            raise DataError(f"has no infon {self.label_infon!r} (see the option label_infon)")
        if any(size == 0 for _, size in places):
            raise DataError("a location has the length 0")
        parts = tuple((offsets.inward(start), offsets.inward(start + size)) for start, size in places)
        code, source = infons.get(self.code_infon), infons.get("source")
        span = Span(
            parts[0][0],
            parts[-1][1],
            label,
            _score(infons.get("score")),
            source if isinstance(source, str) and source else None,
            code if isinstance(code, str) and code not in _NO_CODE else None,
            parts,
        )
        quote = annotation.get("text")
        if self.check and isinstance(quote, str) and not _agrees(text, parts, quote):
            raise SpanError(
                f"the text at [{span.start}, {span.end}) is not the annotation's; check what offsets count here (the "
                "option offsets), or say check=False if its text was normalised"
            )
        return span

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write a collection, XML or JSON by the ending, streaming; it appears whole or not at all. Returns how many.

        Each document is one passage. Offsets count code points. ``covers`` and ``meta`` travel as infons, in JSON.

        Raises:
            ConfigError: if the ending is neither ``.xml`` nor ``.json`` (nor these with ``.gz``).
            DataError: if a text holds characters that XML cannot, two documents have one id, ``meta`` is not JSON, or
                the file cannot be written.
        """
        name = Path(path).name.lower().removesuffix(".gz")
        if not name.endswith(("xml", "json")):
            raise ConfigError(f"{Path(path).name!r} does not tell which BioC; end it in .bioc.xml or .bioc.json")
        in_xml = name.endswith("xml")
        count = 0
        with replacing_file(path) as file:
            file.write(
                _HEAD.encode()
                if in_xml
                else b'{"source": "clinidistill", "date": "", "key": "", "infons": {}, "documents": ['
            )
            for document in each_once(documents):
                data = _data(document)
                if in_xml:
                    file.write(encode(_xml(data), document))
                else:
                    file.write((b",\n" if count else b"\n") + encode(json_line(data, document), document))
                count += 1
            file.write(b"</collection>\n" if in_xml else b"\n]}\n")
        return count


def _xml_documents(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The documents of an XML file as the JSON has them, with the lines they begin on."""
    done: list[tuple[int, dict[str, Any]]] = []
    nodes: list[dict[str, Any]] = []  # the open document and what is open in it
    key: str | None = None
    root: str | None = None

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal key, root
        if root is None:
            root = tag
            if tag not in ("collection", "document"):
                reader.fail(f"the root element is <{tag}>; BioC has a <collection>")
        if tag == "document":
            nodes[:] = [{_LINE: reader.line, "passages": []}]
        elif nodes and tag in _LISTS:
            node = {**attributes, _LINE: reader.line}
            nodes[-1].setdefault(_LISTS[tag], []).append(node)
            nodes.append(node)
        elif nodes and tag == "location":
            nodes[-1].setdefault("locations", []).append(attributes)
        key = attributes.get("key")

    def end(tag: str, text: str) -> None:
        if not nodes:
            return
        if tag == "document":
            done.append((nodes[0][_LINE], nodes[0]))
            nodes.clear()
        elif tag in _LISTS:
            nodes.pop()
        elif tag == "infon" and key is not None:
            nodes[-1].setdefault("infons", {})[key] = text
        elif tag in ("id", "offset", "text"):
            nodes[-1][tag] = text

    reader = XmlReader(path, start, end)
    for piece in chunks(path):
        reader.feed(piece)
        yield from done
        done.clear()
    reader.feed(b"", last=True)


def _data(document: Document) -> dict[str, Any]:
    """A document as the JSON has it."""
    infons = {key: value for key, value in document.meta.items() if isinstance(value, str) and key not in _OURS}
    if document.covers is not None:
        infons["covers"] = json.dumps(sorted(document.covers), ensure_ascii=False)
    if rest := {key: value for key, value in document.meta.items() if key not in infons or key in _OURS}:
        infons["meta"] = json_line(rest, document)
    annotations = [
        {
            "id": f"T{number}",
            "infons": {
                "type": span.label,
                **({} if span.code is None else {"identifier": span.code}),
                **({} if span.score == 1.0 else {"score": repr(span.score)}),
                **({} if span.source is None else {"source": span.source}),
            },
            "text": document.mention(span),
            "locations": [
                {"offset": start, "length": end - start} for start, end in span.fragments or ((span.start, span.end),)
            ],
        }
        for number, span in enumerate(document.spans, 1)
    ]
    passage = {
        "offset": 0,
        "infons": {},
        "text": document.text,
        "sentences": [],
        "annotations": annotations,
        "relations": [],
    }
    return {"id": document.id, "infons": infons, "passages": [passage], "annotations": [], "relations": []}


def _xml(data: dict[str, Any]) -> str:
    """A document's element."""
    key = data["id"]

    def text(tag: str, content: str) -> str:
        return f"<{tag}>{xml_text(content, key)}</{tag}>"

    def infons(of: dict[str, Any]) -> str:
        return "".join(
            f"<infon key={xml_attribute(name, key)}>{xml_text(value, key)}</infon>"
            for name, value in of["infons"].items()
        )

    (passage,) = data["passages"]
    out = [f"<document>{text('id', key)}{infons(data)}<passage><offset>0</offset>{text('text', passage['text'])}"]
    for each in passage["annotations"]:
        places = "".join(f'<location offset="{at["offset"]}" length="{at["length"]}"/>' for at in each["locations"])
        out.append(f'\n<annotation id="{each["id"]}">{infons(each)}{places}{text("text", each["text"])}</annotation>')
    return "".join([*out, "</passage></document>\n"])


_OURS = frozenset({"covers", "meta"})


def _travelled(infons: dict[str, Any]) -> tuple[frozenset[str] | None, dict[str, Any]]:
    """``covers`` and ``meta`` of a document's infons, as :func:`_data` put them there or another program."""
    meta = {key: value for key, value in infons.items() if key not in _OURS}
    covers = _parsed(infons.get("covers"))
    if not isinstance(covers, list) or not all(isinstance(each, str) for each in covers):
        covers = None
        meta |= {"covers": infons["covers"]} if "covers" in infons else {}
    nested = _parsed(infons.get("meta"))
    if isinstance(nested, dict):
        meta |= nested
    elif "meta" in infons:
        meta["meta"] = infons["meta"]
    return None if covers is None else frozenset(covers), meta


def _parsed(value: object) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None


def _agrees(text: str, parts: Iterable[tuple[int, int]], quote: str) -> bool:
    """Whether an annotation quotes its fragments, or all from the first to the last, white space aside."""
    places, wanted = list(parts), "".join(quote.split())
    said = ["".join(text[start:end] for start, end in places), text[places[0][0] : places[-1][1]]]
    return not wanted or wanted in ("".join(each.split()) for each in said)


def _score(value: object) -> float:
    """A score in [0, 1]; 1 for what is none, since infons hold anything."""
    try:
        score = float(value) if isinstance(value, (str, int, float)) else 1.0
    except (ValueError, OverflowError):
        return 1.0
    return score if 0.0 <= score <= 1.0 else 1.0


def _objects(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise DataError(f"{key!r} must be a list of objects")
    return found


def _infons(data: dict[str, Any]) -> dict[str, Any]:
    infons = data.get("infons") or {}
    if not isinstance(infons, dict):
        raise DataError("'infons' must be an object")
    return infons


def _number(data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if type(value) is not int or value < 0:
        raise DataError(f"want {key!r}, a whole number from 0")
    return value

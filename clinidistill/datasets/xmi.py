"""UIMA CAS as XMI: what INCEpTION, WebAnno and DKPro export; a note and its annotation layers a file."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from clinidistill.datasets.atomic import replacing_folder
from clinidistill.datasets.files import Block, FileDataset, OnError, each_once, encode, located
from clinidistill.datasets.offsets import OffsetMap
from clinidistill.datasets.travelling import contiguous
from clinidistill.datasets.xml_files import XmlReader, chunks, xml_attribute
from clinidistill.errors import ConfigError, DataError, OptionError
from clinidistill.types import Document, Span

__all__ = ["Xmi"]

_XMI_ID = "http://www.omg.org/XMI id"
_ROOT = "http://www.omg.org/XMI XMI"
_CAS = "uima.cas."
_METADATA = "de.tudarmstadt.ukp.dkpro.core.api.metadata.type.DocumentMetaData"
_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_NUMBER = re.compile(r"[0-9]{1,15}")
_LARGEST = 1 << 28  # bytes of a file in an archive, which might unpack without end
_TYPES = "TypeSystem.xml"

# XML 1.1 may refer to control characters, which our parser knows from XML 1.0 not to do: noncharacters stand in.
_XML_1_1 = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s+version\s*=\s*["']1\.1["']""")
_REFERENCE = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}));")
_STAND_IN = 0xFDD0
_CONTROL = {_STAND_IN + code: chr(code) for code in range(32)}


@dataclass(frozen=True, slots=True)
class _Cas(Block):
    """One XMI: a file, or a member of an archive."""

    member: str = ""

    @property
    def place(self) -> Path:
        """The path, with that inside the archive."""
        return self.path / self.member if self.member else self.path


@dataclass(slots=True)
class _Element:
    """A feature structure: its type, the line it begins on, and its features, a list where it may have several."""

    type: str
    line: int
    features: dict[str, list[str]]

    def one(self, name: str) -> str:
        """A feature's value; empty where it has none."""
        return next(iter(self.features.get(name, [])), "")


@dataclass(slots=True)
class _Found:
    """What of a CAS is read."""

    sofas: list[_Element] = field(default_factory=list)
    views: list[_Element] = field(default_factory=list)
    metadata: list[_Element] = field(default_factory=list)
    mentions: list[_Element] = field(default_factory=list)


class Xmi(FileDataset):
    """UIMA CAS XMI, 1.0 and 1.1: a document a file, as INCEpTION, WebAnno and DKPro write it.

    The text is the sofa's of the view ``_InitialView``, or of the only view there is. Annotations of one layer, of
    that view, become spans; a feature with several values makes several. Offsets count UTF-16 code units in the file.
    The feature ``identifier`` is the code. A document's id is its ``documentTitle``, else its ``documentId``, else the
    file's path below the folder without ending.

    Writing makes a folder of ``.xmi`` files with their ``TypeSystem.xml``, with the layer that INCEpTION has built in.

    Args:
        path: a file, a folder (its ``.xmi`` files), or a glob; ``.zip`` too, as INCEpTION exports one document, where
            path names it or the glob matches it.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        layer: the annotations' type, in full (``"webanno.custom.Medication"``) or its last part.
        feature: the feature that holds the label; None takes the layer's name for it.

    Raises:
        OptionError: if `layer` or `feature` is empty.

    The format: https://uima.apache.org/d/uimaj-current/references.html#ugr.ref.xmi
    """

    suffixes = (".xmi",)

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        layer: str = "NamedEntity",
        feature: str | None = "value",
    ):
        if not layer or feature == "":
            raise OptionError("layer and feature need a name each (feature=None takes the layer's)")
        super().__init__(path, labels, on_error)
        self.layer = layer
        self.feature = feature

    def blocks(self) -> Iterator[Block]:
        for name, path in self.files().items():
            if not name.endswith(".zip"):
                yield _Cas(path, name.removesuffix(".xmi"))
                continue
            try:
                with zipfile.ZipFile(path) as archive:
                    members = [each for each in archive.infolist() if each.filename.endswith(".xmi")]
            except (OSError, zipfile.BadZipFile):
                raise DataError("no zip archive, or a damaged one", path=path) from None
            if not members:
                raise DataError("the archive holds no .xmi; export as UIMA CAS XMI", path=path)
            stem = name.removesuffix(".zip")
            for number, member in enumerate(members, 1):
                key = stem if len(members) == 1 else f"{stem}/{member.filename.removesuffix('.xmi')}"
                yield _Cas(path, key, number, member=member.filename)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Cas)
        place = block.place
        found = self._found(block)
        with located(place, None):
            sofa = _chosen(found.sofas)
            number, text = sofa.one(_XMI_ID), sofa.one("sofaString")
            members = next((each.one("members").split() for each in found.views if each.one("sofa") == number), None)
            indexed = None if members is None else frozenset(members)
            names = [each for each in found.metadata if each.one("sofa") == number]
            key = next(
                (name for each in names for name in (each.one("documentTitle"), each.one("documentId")) if name), ""
            )
            offsets, spans = OffsetMap(text, "utf-16"), list[Span]()
            for each in found.mentions:
                if each.one("sofa") == number and (indexed is None or each.one(_XMI_ID) in indexed):
                    with located(place, each.line):
                        spans += self._spans(each, offsets)
            return self.select(Document(key or block.name, text, tuple(dict.fromkeys(spans))))

    def _spans(self, mention: _Element, offsets: OffsetMap) -> Iterator[Span]:
        if not all(_NUMBER.fullmatch(mention.one(name)) for name in ("begin", "end")):
            raise DataError(f"a {self.layer} needs begin and end, whole numbers")
        begin, end = int(mention.one("begin")), int(mention.one("end"))
        labels = [mention.type.rpartition(".")[2]] if self.feature is None else mention.features.get(self.feature, [])
        if not any(labels):
            raise DataError(
                f"the {self.layer} at [{begin}, {end}) has no {self.feature!r} (see the option feature); set it, or "
                "delete the annotation"
            )
        code = "|".join(filter(None, mention.features.get("identifier", []))) or None
        for label in filter(None, labels):
            if begin >= end:
                Span(begin, end, label)  # which says what is wrong
            yield Span(offsets.inward(begin), offsets.inward(end), label, code=code)

    def _found(self, block: _Cas) -> _Found:
        found, open_elements = _Found(), list[_Element]()
        depth = 0

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth == 1 and tag != _ROOT:
                reader.fail("no UIMA CAS XMI: its root is not xmi:XMI")
            if depth != 2:
                return
            name = _type_name(tag)
            kept = _kept(found, name, self.layer)
            if kept is not None:
                features = {key: [value] for key, value in attributes.items()}
                kept.append(_Element(name, reader.line, features))
                open_elements.append(kept[-1])

        def end(tag: str, text: str) -> None:
            nonlocal depth
            depth -= 1
            if depth == 1:
                open_elements.clear()
            elif depth == 2 and open_elements:
                open_elements[-1].features.setdefault(tag.rpartition(" ")[2], []).append(text)

        reader = XmlReader(block.place, start, end, namespaces=True)
        data = _bytes(block)
        if _XML_1_1.match(data):
            data = _REFERENCE.sub(_stand_in, data)
            reader.feed(data, last=True)
            for each in (*found.sofas, *found.metadata, *found.mentions):
                each.features = {
                    key: [value.translate(_CONTROL) for value in values] for key, values in each.features.items()
                }
        else:
            reader.feed(data, last=True)
        return found

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write a folder of ``.xmi`` files and their ``TypeSystem.xml``; it appears whole or not at all.

        Returns how many documents.

        Scores, sources, ``covers`` and ``meta`` have no place in it and are left out.

        Raises:
            ConfigError: if `path` ends as one file does.
            DataError: if a span is discontinuous, a text holds characters that XML 1.0 cannot, two documents have one
                id, or the folder cannot be written or holds other files than these.
        """
        if Path(path).name.endswith((".xmi", ".zip")):
            raise ConfigError(
                f"XMI is a file a document, so {Path(path).name!r} must be a folder; format='xmi' names it"
            )
        count = 0
        with replacing_folder(path, cls.suffixes, (_TYPES,)) as folder:
            for document in each_once(documents):
                content = encode(_xmi(document), document)
                with (folder / f"{_file_name(document.id)}.xmi").open("xb") as file:
                    file.write(content)
                count += 1
            (folder / _TYPES).write_text(_TYPE_SYSTEM, encoding="utf-8", newline="\n")
        return count


def _kept(found: _Found, name: str, layer: str) -> list[_Element] | None:
    """Where an element of this type goes; None if nowhere."""
    if name == f"{_CAS}Sofa":
        return found.sofas
    if name == f"{_CAS}View":
        return found.views
    if name == layer or name.rpartition(".")[2] == layer:
        return found.mentions
    return found.metadata if name == _METADATA else None


def _chosen(sofas: list[_Element]) -> _Element:
    """The sofa with the text."""
    texts = [each for each in sofas if "sofaString" in each.features]
    initial = [each for each in texts if each.one("sofaID") == "_InitialView"]
    if len(initial or texts) != 1:
        raise DataError(f"{len(texts)} views with a text (sofaString), and not one of them the _InitialView")
    return (initial or texts)[0]


def _type_name(tag: str) -> str:
    """The name of a UIMA type, which XMI makes a namespace of.

    >>> _type_name("http:///webanno/custom.ecore Medication")
    'webanno.custom.Medication'
    """
    uri, _, name = tag.rpartition(" ")
    package = uri.removeprefix("http:///").removesuffix(".ecore").replace("/", ".")
    return f"{package}.{name}" if package and package != "uima.noNamespace" else name


def _bytes(block: _Cas) -> bytes:
    if not block.member:
        return b"".join(chunks(block.path))
    try:
        with zipfile.ZipFile(block.path) as archive:
            if archive.getinfo(block.member).file_size > _LARGEST:
                raise DataError(f"larger than {_LARGEST >> 20} MiB unpacked; unpack it yourself", path=block.place)
            return archive.read(block.member)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise DataError("the archive is damaged, or encrypted", path=block.path) from None


def _stand_in(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    return b"&#%d;" % (_STAND_IN + code) if 0 < code < 32 and code not in (9, 10, 13) else match[0]


def _file_name(document_id: str) -> str:
    """The id as a file's name, percent-encoded, and not hidden.

    >>> _file_name("../ward 3")
    '%2E.%2Fward%203'
    """
    name = quote(document_id, safe="", errors="surrogatepass")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _xmi(document: Document) -> str:
    """A document as XMI."""
    key, offsets = document.id, OffsetMap(document.text, "utf-16")
    size = offsets.outward(len(document.text))
    title = xml_attribute(key, key)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" '
        'xmlns:cas="http:///uima/cas.ecore" '
        'xmlns:type2="http:///de/tudarmstadt/ukp/dkpro/core/api/metadata/type.ecore" '
        'xmlns:type3="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore" xmi:version="2.0">\n'
        '<cas:NULL xmi:id="0"/>\n'
        f'<type2:DocumentMetaData xmi:id="2" sofa="1" begin="0" end="{size}" language="x-unspecified" '
        f'documentTitle={title} documentId={title} isLastSegment="false"/>\n'
    ]
    for number, span in enumerate(document.spans, 3):
        contiguous(document, span, "XMI")
        code = f" identifier={xml_attribute(span.code, key)}" if span.code else ""
        begin, end = offsets.outward(span.start), offsets.outward(span.end)
        lines.append(
            f'<type3:NamedEntity xmi:id="{number}" sofa="1" begin="{begin}" end="{end}" '
            f"value={xml_attribute(span.label, key)}{code}/>\n"
        )
    members = " ".join(map(str, range(2, len(document.spans) + 3)))
    text = xml_attribute(document.text, key)
    return "".join(
        [
            *lines,
            f'<cas:Sofa xmi:id="1" sofaNum="1" sofaID="_InitialView" mimeType="text" sofaString={text}/>\n',
            f'<cas:View sofa="1" members="{members}"/>\n</xmi:XMI>\n',
        ]
    )


def _type(name: str, supertype: str, features: Mapping[str, str]) -> str:
    rows = "".join(
        f"        <featureDescription><name>{feature}</name><description/>"
        f"<rangeTypeName>uima.cas.{kind}</rangeTypeName></featureDescription>\n"
        for feature, kind in features.items()
    )
    return (
        f"    <typeDescription>\n      <name>{name}</name>\n      <description/>\n"
        f"      <supertypeName>uima.tcas.{supertype}</supertypeName>\n"
        f"      <features>\n{rows}      </features>\n    </typeDescription>\n"
    )


_METADATA_FEATURES = {
    **dict.fromkeys(["documentTitle", "documentId", "documentUri", "collectionId", "documentBaseUri"], "String"),
    "isLastSegment": "Boolean",
}
_TYPE_SYSTEM = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<typeSystemDescription xmlns="http://uima.apache.org/resourceSpecifier">\n  <types>\n'
    + _type(_METADATA, "DocumentAnnotation", _METADATA_FEATURES)
    + _type(_ENTITY, "Annotation", {"value": "String", "identifier": "String"})
    + "  </types>\n</typeSystemDescription>\n"
)

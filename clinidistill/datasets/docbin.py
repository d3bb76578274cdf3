"""spaCy's DocBin: what ``spacy train`` reads, tokens with entities and span groups."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, pairwise, repeat
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_file, replacing_folder
from clinidistill.datasets.files import Block, FileDataset, OnError, each_once, encode
from clinidistill.datasets.travelling import json_line
from clinidistill.errors import ConfigError, DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["DocBinFile"]

_OURS = "clinidistill"
"""The key of ``Doc.user_data`` under which lies what spaCy has no place for, as JSON."""

_GROUP = "sc"
"""The key of ``Doc.spans`` that spaCy's span categorizer goes by, too."""

_A_FILE = 500
"""Documents a file, where a folder of them is written."""


@dataclass(frozen=True, slots=True)
class _Packed(Block):
    """One Doc of a file."""

    doc: Any = None


class DocBinFile(FileDataset):
    """spaCy's DocBin, ``.spacy`` files: spans of whole tokens, whose characters are known exactly.

    Spans are read from the span group `spans_key` where a Doc has such spans, else from ``doc.ents``. The code is
    ``kb_id_``, and scores are those of the group, as spaCy's SpanCategorizer leaves them. A Doc in which no entity was
    ever set or ruled out covers no label. A Doc that was made of words without spaces is refused, since its text, and
    with it all offsets, is not known.

    Writing sets both the group ``sc`` and, where spans are flat, ``doc.ents``. Tokens are those of spaCy's English
    tokenizer, cut at the edges of spans. Ids, ``covers``, ``meta``, scores, sources and fragments travel in
    ``doc.user_data``. A path that ends in ``.spacy`` is one file, which is made in memory; any other is a folder of
    files of 500 documents each.

    Args:
        path: a file, a folder, or a glob. A file is in memory while it is read, packed.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        spans_key: the key of the span group to read; None reads ``doc.ents`` only.

    Raises:
        ConfigError: when it is read or written, if spaCy is not installed.

    The format: https://spacy.io/api/docbin (msgpack, which runs no code)
    """

    suffixes = (".spacy",)

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        spans_key: str | None = _GROUP,
    ):
        super().__init__(path, labels, on_error)
        self.spans_key = spans_key

    def blocks(self) -> Iterator[Block]:
        _spacy()
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab

        for name, path in self.files().items():
            # The library says in many ways that a file is no DocBin: it unpacks what is there, and trusts it.
            faults = (ValueError, KeyError, TypeError, IndexError, ArithmeticError, AttributeError, AssertionError)
            try:
                packed = DocBin().from_bytes(path.read_bytes())
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", path=path) from None
            except faults as error:
                raise DataError(f"no whole DocBin ({type(error).__name__})", path=path) from None
            docs = packed.get_docs(Vocab())
            for number in range(1, len(packed) + 1):
                try:
                    doc = next(docs)
                except faults as error:
                    raise DataError(f"doc {number} is damaged ({type(error).__name__})", path=path) from None
                yield _Packed(path, name.removesuffix(".spacy"), number, doc=doc)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Packed)
        try:
            return self.select(self._document(block.doc, f"{block.name}-{block.number}"))
        except (DataError, SpanError) as error:
            raise DataError(f"doc {block.number}: {error}") from None

    def _document(self, doc: Any, key: str) -> Document:
        if doc.has_unknown_spaces:
            raise DataError(
                "made of words without spaces, so that its text is not known; give Doc(spaces=…), or read the tokens "
                "and tags as conll"
            )
        ours, travelled = _travelled(doc.user_data.get(_OURS))
        group = doc.spans.get(self.spans_key) if self.spans_key is not None else None
        if not group and not doc.ents and any(doc.spans.values()):
            keys = ", ".join(repr(name) for name, each in doc.spans.items() if each)
            raise DataError(f"no entities, but spans under {keys}; say which by the option spans_key")
        known: defaultdict[tuple[int, int, str], list[Span]] = defaultdict(list)
        for span in travelled:
            known[span.key].append(span)
        spans = []
        for each, score in zip(group or doc.ents, _scores(group), strict=False):
            place = (each.start_char, each.end_char, each.label_)
            span = known[place].pop(0) if known[place] else Span(*place, 1.0 if score is None else float(score))
            spans.append(replace(span, code=each.kb_id_ or None))
        if ours is not None:
            return replace(ours, text=doc.text, spans=tuple(spans))
        unlabelled = len(doc) and group is None and not doc.has_annotation("ENT_IOB")
        return Document(key, doc.text, tuple(dict.fromkeys(spans)), frozenset() if unlabelled else None)

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write a file, or a folder of them if `path` does not end in ``.spacy``; whole or not at all.

        Returns how many documents.

        Raises:
            ConfigError: if spaCy is not installed.
            DataError: if two documents have one id, a text is not UTF-8, ``meta`` is not JSON, or it cannot be written.
        """
        _spacy()
        unique = each_once(documents)
        if Path(path).name.endswith(cls.suffixes):
            with replacing_file(path) as file:
                content, count = _packed(unique)
                file.write(content)
            return count
        total = 0
        with replacing_folder(path, cls.suffixes) as folder:
            for number in range(1_000_000):
                content, count = _packed(islice(unique, _A_FILE))
                if number and not count:
                    break
                (folder / f"{number:06}.spacy").write_bytes(content)
                total += count
        return total


def _packed(documents: Iterable[Document]) -> tuple[bytes, int]:
    """A DocBin's bytes, and how many documents are in it."""
    from spacy.tokens import DocBin

    packed, english = DocBin(store_user_data=True), _english()
    with english.memory_zone():  # in which it forgets the words again
        for document in documents:
            packed.add(_doc(document, english.tokenizer))
    return packed.to_bytes(), len(packed)


@cache
def _english() -> Any:
    return _spacy().blank("en")


def _doc(document: Document, tokenizer: Any) -> Any:
    """A document as a Doc whose tokens begin and end where spans do."""
    from spacy.tokens import Doc

    encode(document.text, document)  # refuses lone surrogates
    words, spaces = _words(document, tokenizer)
    doc = Doc(tokenizer.vocab, words=words, spaces=spaces)
    spans: list[Any] = [
        doc.char_span(each.start, each.end, each.label, kb_id=each.code or "") for each in document.spans
    ]
    if doc.text != document.text or None in spans:
        raise DataError(f"document {document.id!r}: spaCy does not give its text back as it is; save it as jsonl")
    if document.spans or document.covers != frozenset():
        doc.spans[_GROUP] = spans
        if any(span.score != 1.0 for span in document.spans):
            doc.spans[_GROUP].attrs["scores"] = [span.score for span in document.spans]
        if not any(each.fragments for each in document.spans) and not any(
            left.overlaps(right) for left, right in pairwise(document.spans)
        ):
            doc.set_ents(spans)
    doc.user_data[_OURS] = json_line({**document.to_dict(), "text": ""}, document, ascii_only=True)
    return doc


def _words(document: Document, tokenizer: Any) -> tuple[list[str], list[bool]]:
    """Its tokens, cut at the edges of spans too, and whether a space comes after each."""
    text = document.text
    starts, ends = {span.start for span in document.spans}, {span.end for span in document.spans}
    cuts = {0, len(text)} | starts | ends
    for token in tokenizer(text):
        cuts |= {token.idx, token.idx + len(token)}
    words, spaces = list[str](), list[bool]()
    for start, end in pairwise(sorted(cuts)):
        word = text[start:end]
        if word == " " and words and not spaces[-1] and start not in starts and end not in ends:
            spaces[-1] = True
        else:
            words.append(word)
            spaces.append(False)
    return words, spaces


def _scores(group: Any) -> Iterable[Any]:
    """The scores of a group's spans, if it has one each."""
    scores = group.attrs.get("scores") if group else None
    return scores if scores is not None and len(scores) == len(group) else repeat(None)


def _travelled(line: object) -> tuple[Document | None, list[Span]]:
    """What :func:`_doc` left in ``user_data``: a document with neither text nor spans, and the spans."""
    if not isinstance(line, str):
        return None, []
    try:
        data = json.loads(line)
        return Document.from_dict({**data, "spans": []}), [Span.from_dict(span) for span in data["spans"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"its user_data[{_OURS!r}] is not what was written there; delete it") from None


def _spacy() -> Any:
    try:
        import spacy
    except ImportError:
        raise ConfigError("DocBin needs spaCy: pip install 'clinidistill[spacy]'") from None
    return spacy

"""Documents with text that breaks careless readers: what changes length when folded, joins, or ends lines."""

from hypothesis import strategies as st

from clinidistill.types import Document, Span

HOSTILE = [
    *[
        "µ",
        "İ",
        "ß",
        "ﬁ",
        "😀",
        "e\u0301",
        "\u0301",
        "\xa0",
        "\u2005",
        "\u2028",
        "\x85",
        "\x1c",
        "\x0b",
        "\ufeff",
        "\x00",
    ],
    *[
        "\r\n",
        "\n",
        "\r",
        "\t",
        " ",
        "  ",
        "metformin",
        "500",
        "mg",
        "|",
        "%",
        "%41",
        "-DOCSTART-",
        "T1",
        '"',
        "\\",
        "#",
    ],
]
LABELS = ["medication", "symptom", "Größe", "a;b", "x-y"]
CODES = [None, "6809", "RxNorm:6809", "code:1", ":", "D003110|D009369", "MESH:"]
IDS = st.lists(
    st.sampled_from(
        ["a", "B", "..", ".", "/", "\\", "~", " ", "%2E", "é", "😀", "C:", ".txt", ".ann", "\n", "|", "\t"]
    ),
    min_size=1,
    max_size=5,
).map("".join)


def texts(extra: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from([*HOSTILE, *extra]) | st.characters(exclude_categories=("Cs",)), max_size=30).map(
        "".join
    )


@st.composite
def documents(draw, text=None, ids=IDS, overlapping=True, fragments=True, codes=True):
    body = draw(texts() if text is None else text)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12, unique=not overlapping)))
    spans = []
    while len(cuts) >= 2:
        (start, end), cuts = cuts[:2], cuts[2:] if not overlapping else cuts[1:]
        parts = ()
        if fragments and end - start > 2 and draw(st.booleans()):
            parts = ((start, start + 1), (end - 1, end))
        if start < end:
            code = draw(st.sampled_from(CODES)) if codes else None
            spans.append(Span(start, end, draw(st.sampled_from(LABELS)), code=code, fragments=parts))
    return Document(draw(ids), body, tuple(spans))

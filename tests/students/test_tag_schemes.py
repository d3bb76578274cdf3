"""Models that others trained in their tag schemes; seqeval and transformers say what their tags mean."""

import random
import shutil
from itertools import pairwise

import pytest
import torch
import transformers
from seqeval import scheme as seqeval_schemes

import clinidistill as cd
from clinidistill.errors import DataError
from clinidistill.students.tag_schemes import TagScheme

MENTIONS = {
    "drug": ["aspirin", "insulin", "warfarin", "prednisone"],
    "problem": ["chest pain", "cough", "fever", "rash", "chest headache nausea"],
}
OTHER = ["and", "the", "patient", "denied", "was", "given", "daily", "after"]


def note(number):
    """A note of words of one piece each: its text, and (first word, last word, label) of each mention; some touch."""
    rng = random.Random(number)
    words, found = [], []
    for _ in range(6):
        label = rng.choice([*MENTIONS, None])
        new = rng.choice(MENTIONS[label]).split() if label else [rng.choice(OTHER)]
        if label:
            found.append((len(words), len(words) + len(new) - 1, label))
        words += new
    return words, found


NOTES = [note(number) for number in range(24)]


def outer(letters):
    """A scheme whose letters are for single words, first, last and other words of a mention."""
    single, first, last, middle = letters

    def tags(size, mentions):
        out = ["O"] * size
        for a, b, label in mentions:
            for n in range(a, b + 1):
                letter = single if a == b else first if n == a else last if n == b else middle
                out[n] = f"{letter}-{label}" if letter else label
        return out

    return tags


def iob1(size, mentions):
    """B only where a mention of the same label ends right before."""
    out = outer("IIII")(size, mentions)
    ends = {(b, label) for _, b, label in mentions}
    for a, _, label in mentions:
        if (a - 1, label) in ends:
            out[a] = f"B-{label}"
    return out


SCHEMES = {
    "IOB1": iob1,
    "IOB2": outer("BBII"),
    "IOE2": outer("EIEI"),
    "IOBES": outer("SBEI"),
    "BILOU": outer("UBLI"),
    "IO": outer("IIII"),
    "bare": outer(("", "", "", "")),
}


@pytest.fixture(scope="module", params=SCHEMES)
def foreign(request, tiny_base, tmp_path_factory):
    """A folder with a plain Hugging Face model that learnt the notes in a scheme, its tags in an order of its own."""
    rows = [SCHEMES[request.param](len(words), found) for words, found in NOTES]
    tags = sorted({tag for row in rows for tag in row}, reverse=True)
    torch.manual_seed(0)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        tiny_base, num_labels=len(tags), id2label=dict(enumerate(tags)), label2id={t: n for n, t in enumerate(tags)}
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    batch = tokenizer([" ".join(words) for words, _ in NOTES], padding=True, return_tensors="pt")
    targets = torch.full(batch["input_ids"].shape, -100)
    for n, row in enumerate(rows):
        targets[n, 1 : 1 + len(row)] = torch.tensor([tags.index(tag) for tag in row])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(80):
        loss = model(**batch, labels=targets).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.detach()) < 0.05
    folder = tmp_path_factory.mktemp("foreign") / request.param
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def said(words, entities):
    """(start, end, label) in characters of (first word, last word, label)."""
    ends = [len(" ".join(words[: n + 1])) for n in range(len(words))]
    return [(ends[a] - len(words[a]), ends[b], label) for a, b, label in entities]


def spans(folder):
    student = cd.load_student(folder)
    assert set(student.labels) == {"drug", "problem"}
    return [[span.key for span in d.spans] for d in student.predict(" ".join(words) for words, _ in NOTES)]


def test_the_spans_are_those_that_seqeval_or_transformers_read_off_the_model_s_tags(foreign):
    if foreign.name in ("IO", "bare"):  # no schemes of seqeval's
        theirs = transformers.pipeline("token-classification", model=str(foreign), aggregation_strategy="simple")
        expected = [[(e["start"], e["end"], e["entity_group"]) for e in theirs(" ".join(words))] for words, _ in NOTES]
    else:
        theirs = transformers.pipeline("token-classification", model=str(foreign), ignore_labels=[])
        tags = [[token["entity"] for token in theirs(" ".join(words))] for words, _ in NOTES]
        found = seqeval_schemes.Entities(tags, getattr(seqeval_schemes, foreign.name)).entities
        expected = [
            said(words, [(e.start, e.end - 1, e.tag) for e in entities])
            for (words, _), entities in zip(NOTES, found, strict=True)
        ]
        assert sum(e == said(*each) for e, each in zip(expected, NOTES, strict=True)) > len(NOTES) * 0.9
    assert spans(foreign) == expected


def test_what_is_saved_is_the_model_as_it_was_and_predicts_the_same(foreign, tmp_path):
    student = cd.load_student(foreign)
    student.save(tmp_path / "again")
    assert spans(tmp_path / "again") == spans(foreign)
    theirs = transformers.AutoConfig.from_pretrained(foreign)
    assert transformers.AutoConfig.from_pretrained(tmp_path / "again").id2label == theirs.id2label


def test_a_loaded_one_learns_on(foreign, tmp_path):
    copy = cd.load_student(shutil.copytree(foreign, tmp_path / "copy"))
    gold = [
        cd.Document(str(n), " ".join(words), [cd.Span(*each) for each in said(words, found)])
        for n, (words, found) in enumerate(NOTES)
        if foreign.name not in ("IO", "bare") or not touching(found)  # which these cannot tell from one
    ]
    history = cd.Distiller(25, 3e-3, 512, precision="fp32", show=False).fit(copy, gold)
    assert history.losses[-1] < history.losses[0]
    assert [[s.key for s in d.spans] for d in copy.predict(d.without_spans() for d in gold)] == [
        [s.key for s in d.spans] for d in gold
    ]


def touching(found):
    return any(b + 1 == start and left == right for (_, b, left), (start, _, right) in pairwise(found))


def test_where_no_tag_says_so_a_mention_opens_if_its_label_does_not_go_on():
    scheme = TagScheme({0: "I-x", 1: "O", 2: "E-x"})
    logits = torch.tensor([[[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.8, 0.1, 0.1]]]).log()
    opens = [0.8 * 1.0, 0.9 * (1 - 0.7), 0.9 * (1 - 0.5)]
    inner = [0.0, 0.9 * 0.7, 0.9 * 0.5]
    assert scheme.translate(logits).exp()[0].T.tolist() == [
        pytest.approx([0.2, 0.1, 0.1]),
        pytest.approx(opens),
        pytest.approx(inner, abs=1e-6),
    ]


def test_tags_of_our_own_are_left_alone():
    assert TagScheme({0: "O", 1: "B-x", 2: "I-x", 3: "B-y", 4: "I-y"}).is_iob2
    assert not TagScheme({0: "O", 1: "B-x", 2: "B-y", 3: "I-x", 4: "I-y"}).is_iob2


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], ("LABEL_1", "LABEL_2")),
        (["O", "B_gene", "I_gene", "X", "[CLS]", "[SEP]"], ("gene",)),
        (["O", "B-cell", "T-cell"], ("B-cell", "T-cell")),
        (["o", "Chemical", "Disease"], ("Chemical", "Disease")),
        (["O", "M-x", "W-x", "B-x", "E-x"], ("x",)),
    ],
)
def test_names_tell_what_tags_mean(tags, labels):
    assert TagScheme(dict(enumerate(tags))).labels == labels


@pytest.mark.parametrize("tags", [["B-x", "I-x"], ["O", "PAD"], []])
def test_tags_that_tell_nothing_are_refused_with_file_and_cure(tags, tmp_path):
    with pytest.raises(DataError, match=r"config.json: no tag is .* id2label"):
        TagScheme(dict(enumerate(tags)), tmp_path / "config.json")

"""Mentions to codes: BC5CDR's human-made MeSH identifiers and respelled names, against look-ups written at home.

The mentions are BC5CDR's gold spans (test split; what was tuned was tuned on train and dev). The terminology holds
MeSH's headings of 2015 without their entry terms, so that no linker can reach more than the share of mentions whose
identifier is in it ("bound"). A second one adds the names and synonyms of the Disease Ontology, under the MeSH codes
that it gives; a third row looks chemicals up in MeSH's trees D and diseases in C and F, as one with two labels would.
The others: a look-up in lower case, and rapidfuzz's token_sort_ratio (at least 80) with every name.
"""

import csv
import random
import re
import string
from collections import Counter, defaultdict
from itertools import chain
from time import process_time

import pytest
from rapidfuzz.fuzz import token_sort_ratio
from rapidfuzz.process import cdist

import clinidistill as cd
from clinidistill.matching.variants import plurals
from clinidistill.settings import Settings

DATA = Settings().data
MESH, DOID = DATA / "mesh_terms/data/terms.tsv", DATA / "doid/DOreports"
BC5CDR = DATA / "bc5cdr_pubtator/data/pubtator/BC5CDR_Test.PubTator"
RESPELLED = 2_000
TREES = {"Chemical": ("D",), "Disease": ("C", "F")}


@pytest.fixture(scope="module")
def mesh():
    if not MESH.exists() or not BC5CDR.exists() or not DOID.exists():
        pytest.skip("mesh_terms, doid or bc5cdr_pubtator is not in $CLINIDISTILL_DATA")
    return cd.load_terminology("mesh", path=MESH)


@pytest.fixture(scope="module")
def richer(mesh):
    """MeSH with the Disease Ontology's names."""
    with open(DOID / "MESHinDO.tsv", encoding="utf-8", newline="") as file:
        codes = {row["id"]: row["xrefs"].removeprefix("MESH:") for row in csv.DictReader(file, delimiter="\t")}
    doid = cd.load_terminology("table", path=DOID / "HumanDO.tsv")
    return mesh | doid.map_codes(codes, drop_missing=True)


def in_trees(terminology, label, mesh):
    """The concepts that stand in a label's trees of MeSH."""
    codes = {concept.code for concept in mesh if any(number.startswith(TREES[label]) for number in concept.types)}
    return terminology.filter(codes=codes)


def linked(documents, linkers):
    for label, linker in linkers.items():
        documents = cd.link(documents, linker, labels=[label])
    return list(documents)


def test_bc5cdr_mentions_to_mesh(mesh, richer, capsys):
    documents = list(cd.load_dataset("pubtator", path=BC5CDR))
    gold = [
        {(s.start, s.end, s.label): set(re.split("[|;]", s.code)) for s in document.spans if s.code}
        for document in documents
    ]
    bare = [d.with_spans([cd.Span(s.start, s.end, s.label, fragments=s.fragments) for s in d.spans]) for d in documents]
    known, lower = {c.code for c in mesh}, {c.name.lower(): c.code for c in mesh}
    sides = {
        "link, MeSH": dict.fromkeys(TREES, cd.Linker(mesh)),
        "link, MeSH + DOID": dict.fromkeys(TREES, cd.Linker(richer)),
        "link, MeSH + DOID by tree": {label: cd.Linker(in_trees(richer, label, mesh)) for label in TREES},
    }
    counts: defaultdict[tuple[str, str], Counter] = defaultdict(Counter)
    mentions = sorted({document.mention(span).lower() for document in documents for span in document.spans})
    times, names = {}, list(lower)
    started = process_time()
    ratios = cdist(mentions, names, scorer=token_sort_ratio, score_cutoff=80)
    times["rapidfuzz with every name"] = process_time() - started
    nearest = {
        mention: lower[names[row.argmax()]] for mention, row in zip(mentions, ratios, strict=True) if row.max() > 0
    }
    for document, codes in zip(bare, gold, strict=True):
        for span in document.spans:
            if wanted := codes.get(span.key):
                mention = document.mention(span).lower()
                for name, table in (("look-up in lower case", lower), ("rapidfuzz with every name", nearest)):
                    found = table.get(mention)
                    right = found in wanted
                    counts[name, span.label].update(
                        n=1, bound=bool(wanted & known), linked=found is not None, right=right, five=right
                    )
    for name, linkers in sides.items():
        for linker in linkers.values():
            linker.candidates("warm up")
        started = process_time()
        outs = linked(bare, linkers)
        times[name] = process_time() - started
        for out, codes in zip(outs, gold, strict=True):
            weighed = {
                (e["start"], e["end"], e["label"]): {c["code"] for c in e["candidates"]} for e in out.meta["links"]
            }
            for span in out.spans:
                if wanted := codes.get(span.key):
                    counts[name, span.label].update(
                        n=1,
                        bound=bool(wanted & known),
                        linked=span.code is not None,
                        right=span.code in wanted,
                        five=bool(weighed[span.key] & wanted),
                    )
    with capsys.disabled():
        print("\nBC5CDR test, gold mentions; accuracy counts all of them, precision those that got a code:")
        for (name, label), n in sorted(counts.items(), key=lambda item: item[0][1]):
            print(
                f"  {label:8} {name:26} {n['n']:5} mentions, bound {n['bound'] / n['n']:.3f}, linked "
                f"{n['linked'] / n['n']:.3f}, precision {n['right'] / n['linked']:.3f}, accuracy@1 "
                f"{n['right'] / n['n']:.3f}, @5 {n['five'] / n['n']:.3f}"
            )
        for name, taken in times.items():
            print(f"  {name}: {taken / sum(map(len, gold)) * 1e6:.0f} µs a mention")
    assert all(
        counts["link, MeSH", label]["right"] > counts["look-up in lower case", label]["right"] for label in TREES
    )


def typo(name, draw):
    """One letter less, more or other, or two neighbours swapped, in a word of five letters or more."""
    at = draw.choice([at for word in re.finditer(r"[^\W\d_]{5,}", name) for at in range(*word.span())])
    letter = draw.choice(string.ascii_lowercase.replace(name[at].lower(), ""))
    return draw.choice(
        [
            name[:at] + name[at + 1 :],
            name[:at] + letter + name[at + 1 :],
            name[:at] + letter + name[at:],
            name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :],
        ]
    )


CHANGES = {
    "case": lambda name, draw: draw.choice([str.upper, str.lower, str.swapcase])(name),
    "number": lambda name, draw: next(plurals(name), name),
    "order of words": lambda name, draw: " ".join(draw.sample(words := re.findall(r"[^\s,]+", name), len(words))),
    "hyphens": lambda name, draw: name.replace("-", " ") if "-" in name else name.replace(" ", "-"),
    "a word more": lambda name, draw: f"{draw.choice(['severe', 'recurrent', 'suspected', 'mild'])} {name}",
    "a typo": typo,
}


def test_respelled_names_to_their_own_codes(mesh, capsys):
    concepts = [
        concept
        for concept in mesh
        if any(number.startswith(tuple(chain(*TREES.values()))) for number in concept.types)
        and re.search(r"[^\W\d_]{5,}", concept.name)
    ]
    lower, linker = {concept.name.lower(): concept.code for concept in concepts}, cd.Linker(cd.Terminology.of(concepts))
    shares = {}
    with capsys.disabled():
        print(f"\n{RESPELLED:,} of {len(concepts):,} MeSH headings (trees C, D, F) respelled; right codes of all:")
        for change, respell in CHANGES.items():
            draw, right = random.Random(change), Counter()
            cases = [(concept, respell(concept.name, draw)) for concept in draw.sample(concepts, RESPELLED)]
            cases = [(concept, name) for concept, name in cases if name != concept.name]
            for concept, name in cases:
                found = linker.candidates(name)
                right["lookup"] += lower.get(name.lower()) == concept.code
                right["link"] += bool(found) and found[0].score >= 0.65 and found[0].code == concept.code
                right["five"] += concept.code in {each.code for each in found}
            shares[change] = right["link"] / len(cases)
            print(
                f"  {change:15} {len(cases):5} names, look-up {right['lookup'] / len(cases):6.1%}, "
                f"link {shares[change]:6.1%}, among five {right['five'] / len(cases):6.1%}"
            )
    assert all(share > 0.85 for share in shares.values())

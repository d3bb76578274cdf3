import re

import numpy as np
from hypothesis import given
from opinions import TEXT, corpora, labels_of, said

from clinidistill.aggregation.atoms import Atoms
from clinidistill.aggregation.mentions import ABSTAINS, Candidates, overlap_groups
from clinidistill.types import Document


def candidates_of(labels):
    return Candidates.of(list(labels), labels.teachers)


def cuts(c, members):
    """Where the atoms of a group begin and end: at tokens, at starts, and at ends that are not before a space."""
    text, final = c.texts[c.document[members[0]]], int(c.end[members].max())
    points = {int(start) for start in c.start[members]} | {final}
    points |= {token.start() for token in re.finditer(r"\w+|[^\w\s]", text) if min(points) <= token.start() < final}
    return sorted(points | {int(end) for end in c.end[members] if not text[end : end + 1].isspace()})


@given(corpora())
def test_atoms_cover_their_candidates_exactly(labels):
    c = candidates_of(labels)
    atoms = Atoms.of(c)
    for number in range(int(atoms.group.max(initial=-1)) + 1):
        members = np.flatnonzero(atoms.group == number)
        points = cuts(c, members)
        text = c.texts[c.document[members[0]]]
        for n in members:
            assert points[atoms.first[n]] == c.start[n]
            assert points[atoms.last[n]] >= c.end[n]
            assert not text[c.end[n] : points[atoms.last[n]]].strip()


@given(corpora())
def test_tags_are_those_of_each_teachers_spans(labels):
    c = candidates_of(labels)
    atoms = Atoms.of(c)
    groups = [group for bucket in atoms.buckets for group in bucket.groups.tolist()]
    assert sorted(groups) == sorted(set(overlap_groups(c).tolist()))
    for bucket in atoms.buckets:
        assert bucket.count.sum() == len(bucket.groups)
        for group, row in zip(bucket.groups, bucket.sequence, strict=True):
            members = np.flatnonzero(atoms.group == group)
            length, document = len(cuts(c, members)) - 1, c.document[members[0]]
            expected = np.zeros((length, len(c.teachers)), dtype=int)
            expected[:, ~c.knows[document].any(axis=1)] = ABSTAINS
            for n in sorted(members, key=lambda n: atoms.last[n] - atoms.first[n]):  # longer ones overwrite
                for teacher in np.flatnonzero(c.marks[n]):
                    expected[atoms.first[n] : atoms.last[n], teacher] = 2 * c.label[n] + 2
                    expected[atoms.first[n], teacher] = 2 * c.label[n] + 1
            assert bucket.length[row] == length
            assert (bucket.tags[row, :length] == expected).all()
            assert (bucket.tags[row, length:] == ABSTAINS).all()
            assert (bucket.knows[row] == c.knows[document]).all()


def test_groups_that_look_alike_are_kept_once():
    notes = [Document(f"n{n}", TEXT) for n in range(4)]
    labels = labels_of(*(said(t, (0, 4, "x"), document=note.id) for note in notes for t in "ab"), notes=notes)
    (bucket,) = Atoms.of(candidates_of(labels)).buckets
    assert (len(bucket.tags), bucket.count.tolist()) == (1, [4])

import numpy as np
from hypothesis import given
from opinions import TEXT, corpora, labels_of, said

from clinidistill.aggregation.mentions import ABSTAINS, Candidates, Mentions
from clinidistill.types import Document


def candidates_of(labels, names=()):
    return Candidates.of(list(labels), labels.teachers, names)


def rows(c):
    return list(zip(c.document.tolist(), c.start.tolist(), c.end.tolist(), c.label.tolist(), strict=True))


def by_hand(c):
    """The mention of each candidate and each mention's anchor and votes, as Mentions' docstring says it."""
    place, markers = rows(c), [set(np.flatnonzero(marks).tolist()) for marks in c.marks]

    def overlap(a, b):
        return place[a][0] == place[b][0] and place[a][1] < place[b][2] and place[b][1] < place[a][2]

    def one_mention(a, b):
        return overlap(a, b) and (a == b or not markers[a] & markers[b])

    groups, mention, votes = [], {}, {}
    for n in range(len(place)):
        group = {n}.union(*(other for other in groups if any(overlap(n, m) for m in other)))
        groups = [other for other in groups if not other & group] + [group]
    for group in groups:
        left = set(group)
        while left:
            _, start, end, label = zip(*(place[n] for n in sorted(left)), strict=True)
            ranked = zip(
                (-len(markers[n]) for n in sorted(left)),
                np.subtract(start, end),
                start,
                label,
                sorted(left),
                strict=True,
            )
            anchor = min(ranked)[-1]
            taken = {n for n in left if one_mention(anchor, n)}
            mention.update(dict.fromkeys(taken, anchor))
            left -= taken
        for anchor in {mention[n] for n in group}:
            for teacher in range(len(c.teachers)):
                own = [n for n in group if teacher in markers[n] and one_mention(anchor, n)]
                ranked = [
                    (
                        place[n][3] == place[anchor][3],
                        -abs(place[n][1] - place[anchor][1]) - abs(place[n][2] - place[anchor][2]),
                        n,
                    )
                    for n in own
                ]
                heard = c.knows[place[anchor][0], teacher].any()
                votes[anchor, teacher] = place[max(ranked)[-1]][3] + 1 if own else 0 if heard else ABSTAINS
    return [mention[n] for n in range(len(place))], votes


@given(corpora())
def test_mentions_are_those_that_a_slow_reading_of_their_definition_finds(labels):
    c = candidates_of(labels)
    mentions = Mentions.of(c)
    anchors, votes = by_hand(c)
    assert mentions.anchor[mentions.mention].tolist() == anchors
    found = {
        (a, t): v
        for a, row in zip(mentions.anchor.tolist(), mentions.votes.tolist(), strict=True)
        for t, v in enumerate(row)
    }
    assert found == votes


@given(corpora())
def test_every_candidate_is_in_one_mention_and_votes_are_labels_or_abstentions(labels):
    c = candidates_of(labels)
    mentions = c.mentions
    assert sorted(set(mentions.mention.tolist())) == list(range(len(mentions)))
    assert (mentions.mention[mentions.anchor] == np.arange(len(mentions))).all()
    assert ((mentions.votes >= ABSTAINS) & (mentions.votes <= len(c.labels))).all()
    for mention, teacher in zip(*np.nonzero(mentions.votes > 0), strict=True):
        assert mentions.knows[mention, teacher, mentions.votes[mention, teacher] - 1]


@given(corpora())
def test_candidates_are_the_spans_of_those_with_a_vote(labels):
    c = candidates_of(labels)
    expected = {}
    for document, opinions in enumerate(labels):
        for name, annotation in opinions.annotations.items():
            for span in annotation.spans:
                if annotation.knows(span.label):
                    row = (document, span.start, span.end, c.labels.index(span.label))
                    expected.setdefault(row, set()).add(labels.teachers.index(name))
    assert dict(zip(rows(c), (set(np.flatnonzero(marks).tolist()) for marks in c.marks), strict=True)) == expected
    assert rows(c) == sorted(expected)


@given(corpora())
def test_some_teachers_alone_are_as_if_the_others_had_not_been_asked(labels):
    c, some = candidates_of(labels), labels.teachers[::2]
    only = c.only(range(0, len(labels.teachers), 2))
    alone = candidates_of(labels.select(*some), c.labels)
    assert (only.teachers, only.labels, rows(only)) == (alone.teachers, alone.labels, rows(alone))
    assert (only.marks == alone.marks).all()
    assert (only.knows[:, :, : len(c.labels)] == alone.knows).all()


@given(corpora())
def test_one_kind_of_mention_stands_for_all_that_look_like_it(labels):
    mentions = candidates_of(labels).mentions
    first, kind = mentions.patterns
    assert (mentions.votes[first][kind] == mentions.votes).all()
    assert (mentions.knows[first][kind] == mentions.knows).all()
    looks = {(votes.tobytes(), knows.tobytes()) for votes, knows in zip(mentions.votes, mentions.knows, strict=True)}
    assert len(first) == len(looks)


def test_patterns_are_told_apart_by_any_number_of_teachers():
    notes = [Document(f"n{n}", TEXT) for n in range(6)]
    said_of = [
        said(f"t{teacher}", *([(0, 4, f"label {n}")] if teacher in (0, 119 - n) else []), document=note.id)
        for n, note in enumerate(notes)
        for teacher in range(120)
    ]
    first, kind = candidates_of(labels_of(*said_of, notes=notes)).mentions.patterns
    assert len(first) == 6
    assert sorted(kind.tolist()) == list(range(6))


def test_labels_given_first_keep_their_numbers():
    labels = labels_of(said("a", (0, 2, "b"), (3, 5, "a")))
    assert candidates_of(labels).labels == ("a", "b")
    assert candidates_of(labels, ("z", "b")).labels == ("z", "b", "a")

"""SNOMED CT, from its RF2 release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from clinidistill.errors import DataError, OptionError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.rf2 import CONCEPT, DESCRIPTION, LANGUAGE, RELATIONSHIP, Snapshot, split_fsn

__all__ = ["Sctid", "Snomed"]

Sctid = str | int


class Snomed(Terminology):
    """The concepts of a SNOMED CT release, of the international edition or any other.

    The codes are SCTIDs. A concept's name is the term preferred in the dialect, its synonyms are the acceptable ones;
    where the dialect has none, its fully specified name (FSN) without the semantic tag is the name. Concepts
    without any name in the language are left out. The semantic tag (``disorder``, ``finding``, ``product``, …) is
    the concept's type: that of the English FSN, or else of the FSN in the language.

    An extension is read together with the international release: put both into one folder.

    Args:
        path: the release: its folder, its zip, or one of its tables; its Snapshot is read.
        preset: filters under a name; of `under`, `without` and `tags`, those that are given take its place.
            ``"disease"``: tag disorder below 64572001 ``|Disease|``.
            ``"symptom"``: symptoms and signs, i.e. tag finding below 404684003 ``|Clinical finding|`` without what
            FHIR leaves out of it: propensities and hypersensitivities, drug actions and interactions, evaluation
            findings (results), administrative statuses and tumor stages. (418799008 ``|Finding reported by subject or
            history provider|``, a synonym of which is "Symptom", has neither cough nor most others below it.)
        under: SCTIDs; only concepts below these by inferred is-a are taken, these themselves left out.
        without: SCTIDs; these and all concepts below them are left out.
        tags: semantic tags; only concepts with one of these are taken.
        dialect: ``"us"``, ``"gb"``, or the SCTID of a language reference set; or several, the first of which that
            has a preferred term gives the name.
        language: two-letter code of the language that names are in; other ones than English need their `dialect`.
        acceptable: whether terms that are acceptable, not preferred, are taken as synonyms.
        fully_specified: whether FSNs, tag and all, are synonyms too. Notes do not hold them.
        inactive: whether retired concepts, descriptions and reference set members are taken too. Retired concepts are
            below nothing, so that `under` leaves them out all the same.
        name: how the terminology is called.

    Raises:
        OptionError: if a dialect is unknown, or something is not an SCTID.

    Iterating raises:
        DataError: with file, line and column, where a row is not as specified; where a table, a concept of `under` or
            `without`, or the dialect is missing; or where the filters leave nothing.

    See the `SNOMED CT release file specification
    <https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification>`_; for symptoms, FHIR's
    `manifestation or symptom codes <https://hl7.org/fhir/R4/valueset-manifestation-or-symptom.html>`_ and the findings
    that its `Condition.code <https://hl7.org/fhir/R4/condition-mappings.html>`_ does not take.
    """

    filenames: ClassVar[tuple[str, ...]] = (
        *("sct2_*.txt", "xsct2_*.txt", "uk_sct2*"),
        *("snomedct_*_production_*", "snomedct_*rf2*", "xsnomedct_*_beta_*"),
    )

    def __init__(
        self,
        path: str | Path,
        *,
        preset: Literal["disease", "symptom"] | None = None,
        under: Sequence[Sctid] | None = None,
        without: Sequence[Sctid] | None = None,
        tags: Sequence[str] | None = None,
        dialect: Sctid | Sequence[Sctid] = "us",
        language: str = "en",
        acceptable: bool = True,
        fully_specified: bool = False,
        inactive: bool = False,
        name: str | None = None,
    ):
        self.path = Path(path)
        self._snapshot = Snapshot(path)
        self._preset = _PRESETS[preset] if preset else _Preset()
        self._under = self._preset.under if under is None else _sctids("under", under)
        self._without = self._preset.without if without is None else _sctids("without", without)
        self._tags = self._preset.tags if tags is None else frozenset(tags)
        dialects = [dialect] if isinstance(dialect, (str, int)) else dialect
        self._dialects = _sctids("dialect", [_DIALECTS.get(str(each).lower(), each) for each in dialects])
        self._language = language.lower()
        self._acceptable = acceptable
        self._fully_specified = fully_specified
        self._inactive = inactive

    def source_files(self) -> Sequence[Path]:
        """The tables on disk that it reads, or the zip."""
        hierarchy = [RELATIONSHIP] if self._under or self._without else []
        return self._snapshot.files(CONCEPT, DESCRIPTION, LANGUAGE, *hierarchy)

    def __iter__(self) -> Iterator[Concept]:
        codes = self._chosen()
        terms, fsns, english = self._names(codes)
        tags = {tag.casefold() for tag in self._tags}
        seen: set[str] = set()
        empty = True
        for code in codes:
            own = fsns.get(code, "")
            _, tag = split_fsn(english.get(code, own))
            seen.add(tag)
            names = [term for _, term in sorted(terms.get(code, ()), key=_rank)] or [split_fsn(own)[0]]
            if any(names) and (not tags or tag.casefold() in tags):
                empty = False
                yield Concept.named(str(code), names, filter(None, [tag]))
        if empty:
            raise self._nothing(seen)

    def _chosen(self) -> dict[int, None]:
        """The codes that `under` and `without` leave, in the order of the table."""
        codes = {code: None for (code,), _ in self._snapshot.rows(CONCEPT, ["id"], inactive=self._inactive)}
        if not self._under and not self._without:
            return codes
        self._check_known(codes)
        children: defaultdict[int, list[int]] = defaultdict(list)
        for (child, parent), cells in self._snapshot.rows(RELATIONSHIP, ["sourceId", "destinationId"]):
            if cells[7] == _IS_A and cells[8] == _INFERRED:
                children[parent].append(child)
        wanted = _below(self._under, children) - set(self._under) if self._under else codes.keys()
        unwanted = _below(self._without, children).union(self._without)
        return {code: None for code in codes if code in wanted and code not in unwanted}

    def _names(self, codes: dict[int, None]) -> tuple[dict[int, list[tuple[int, str]]], dict[int, str], dict[int, str]]:
        """Of each concept its terms with their ranks, its FSN in the language, and its English FSN."""
        ranks = self._ranks()
        terms: dict[int, list[tuple[int, str]]] = {}
        english: dict[int, str] = {}
        fsns = english if self._language == "en" else {}
        rows = self._snapshot.rows(DESCRIPTION, ["id", "conceptId"], inactive=self._inactive)
        for (description, code), (*_, language, type_, term, _) in rows:
            if code not in codes:
                continue
            rank = ranks.get(description)
            if type_ == _FSN:
                known = fsns if language == self._language else english if language == "en" else None
                if known is not None and (rank is not None or code not in known):
                    known[code] = term
            if rank is None or language != self._language:
                continue
            if type_ == _SYNONYM:
                terms.setdefault(code, []).append((rank, term))
            elif type_ == _FSN and self._fully_specified:
                terms.setdefault(code, []).append((rank + _LAST, term))
        return terms, fsns, english

    def _ranks(self) -> dict[int, int]:
        """The descriptions that the dialects take, each with its rank: the lower, the more preferred."""
        places = {str(dialect): place for place, dialect in enumerate(self._dialects)}
        others: set[str] = set()
        ranks: dict[int, int] = {}
        rows = self._snapshot.rows(LANGUAGE, ["referencedComponentId"], inactive=self._inactive)
        for (description,), (*_, dialect, _, acceptability) in rows:
            place = places.get(dialect)
            if place is None:
                others.add(dialect)
            elif acceptability == _PREFERRED or (acceptability == _ACCEPTABLE and self._acceptable):
                rank = place if acceptability == _PREFERRED else place + len(places)
                ranks[description] = min(rank, ranks.get(description, rank))
        if not ranks:
            raise DataError(
                f"no names in the dialect {', '.join(places)} (a language reference set); its reference sets are "
                f"{', '.join(sorted(others)) or 'empty'}. Give one of these as the option dialect=",
                path=self.path,
            )
        return ranks

    def _check_known(self, codes: dict[int, None]) -> None:
        for option, roots, preset in (
            ("under", self._under, self._preset.under),
            ("without", self._without, self._preset.without),
        ):
            missing = ", ".join(str(root) for root in roots if root not in codes)
            if missing and roots is not preset:
                cure = f"the option {option}= takes SCTIDs of concepts that are in the release and not retired"
            elif missing and option == "under":  # what a preset leaves out need not be there
                cure = (
                    f"the preset {self.options['preset']!r} goes by them: is the international release beside this one?"
                )
            else:
                continue
            raise DataError(f"no concepts {missing}; {cure}", path=self.path)

    def _nothing(self, tags: Iterable[str]) -> DataError:
        options = {"under": self._under, "without": self._without, "tags": sorted(self._tags)}
        given = [f"{name}={', '.join(map(str, value))}" for name, value in options.items() if value]
        found = ", ".join(sorted(filter(None, tags)))
        return DataError(
            f"no concept is left by {'; '.join([*given, f'language={self._language}'])}"
            f"{f' (semantic tags found: {found})' if found else ''}; choose other ones",
            path=self.path,
        )


class _Preset(NamedTuple):
    under: tuple[int, ...] = ()
    without: tuple[int, ...] = ()
    tags: frozenset[str] = frozenset()


_PRESETS = {
    "disease": _Preset(under=(64572001,), tags=frozenset({"disorder"})),
    "symptom": _Preset(
        under=(404684003,),
        without=(
            420134006,  # |Propensity to adverse reaction|
            473010000,  # |Hypersensitivity condition|
            79899007,  # |Drug interaction|
            69449002,  # |Drug action|
            441742003,  # |Evaluation finding|
            307824009,  # |Administrative status|
            385356007,  # |Tumor stage finding|
        ),
        tags=frozenset({"finding"}),
    ),
}
_DIALECTS = {"us": "900000000000509007", "gb": "900000000000508004"}
_FSN, _SYNONYM = "900000000000003001", "900000000000013009"
_PREFERRED, _ACCEPTABLE = "900000000000548007", "900000000000549004"
_IS_A, _INFERRED = "116680003", "900000000000011006"
_LAST = 1 << 20  # FSNs come after all other terms


def _rank(term: tuple[int, str]) -> int:
    return term[0]


def _sctids(option: str, values: Sequence[Sctid]) -> tuple[int, ...]:
    if wrong := [str(value) for value in values if not str(value).isdecimal()]:
        names = f"{', '.join(map(repr, _DIALECTS))} or " if option == "dialect" else ""
        raise OptionError(f"{option} takes {names}SCTIDs (digits only), not {', '.join(wrong)}")
    return tuple(map(int, values))


def _below(roots: Iterable[int], children: dict[int, list[int]]) -> set[int]:
    """All that reach one of `roots` by is-a; a root is among them only where it is below another."""
    below: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [child for child in children.get(waiting.pop(), ()) if child not in below]
        below.update(new)
        waiting += new
    return below

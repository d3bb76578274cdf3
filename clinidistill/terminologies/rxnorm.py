"""RxNorm, the US vocabulary of drug names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Literal

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.release import Release
from clinidistill.terminologies.rrf import RXNCONSO, RXNREL, RXNSAT, Filter, RrfTable, nothing_left, selected

__all__ = ["RxNorm"]


class RxNorm(Terminology):
    """The drugs of an RxNorm release, by RXCUI.

    A concept's types are its term types (IN, BN, …). Its preferred name is the one of the first of `sources` and,
    there, of the first of `term_types`; its other names follow in this order.

    Term types of RxNorm's own names, by `its documentation
    <https://www.nlm.nih.gov/research/umls/rxnorm/docs/appendix5.html>`_:

    - IN ingredient (metformin), PIN precise ingredient (metformin hydrochloride), MIN several ingredients
      (metformin / sitagliptin), BN brand name (Glucophage);
    - SCD, SBD clinical and branded drug with strength and form; SCDC, SBDC without form; SCDF, SBDF without strength;
      SCDG, SBDG with a group of forms; GPCK, BPCK packs; DF, DFG dose forms and their groups;
    - SY, TMSY, PSN, ET: further names of a concept of the types above: a synonym, one in tall-man letters (metFORMIN),
      the prescribable name, a dose form's entry term.

    Args:
        path: the release's folder; its zip as downloaded, read in place; or ``RXNCONSO.RRF``, with the other tables
            beside it. The full release, or the Current Prescribable Content alone.
        prescribable: only what is in the Current Prescribable Content (drugs now sold in the USA): of a full release,
            its folder ``prescribe``, or else the rows with CVF=4096.
        term_types: which names are taken; None takes all. SY, TMSY, PSN and ET are taken of concepts that have a
            name of another type chosen, or of all concepts if no other is chosen.
        sources: SABs of the names taken; ``RXNORM`` is the normalised names, others are as their publishers give
            them, with term types of their own (``MTHSPL``: SU, …). None takes all.
        suppressed: whether names are taken that NLM's editors suppress: SUPPRESS=E is a drug without a quantity where
            only those with one can be prescribed, Y any other.
        obsolete: whether names are taken that are no longer in their source (SUPPRESS=O). (RXNSAT's RXN_OBSOLETED
            are the dates of such changes; a name that came back has them, too, so they are not looked at.)
        veterinary: whether drugs are taken that RXNSAT marks for use in animals (RXN_VET_DRUG) and not in humans.
        code: ``"rxcui"`` makes one concept of each RXCUI. ``"ingredient"`` puts brands, precise ingredients and
            products under the RXCUI of their ingredient (through RXNREL), all names in one concept; what has
            several ingredients, under the MIN of just these, or under its own RXCUI if there is none.
        name: how the terminology is called.

    Iterating raises:
        DataError: with file, line and column, where a table is not as published; if one is missing; or if an option
            leaves nothing, saying which.

    See `RxNorm's technical documentation <https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html>`_.
    """

    filenames: ClassVar[tuple[str, ...]] = ("rxnconso.rrf", "rxnorm_full_*.zip")

    def __init__(
        self,
        path: str | Path,
        *,
        prescribable: bool = False,
        term_types: Sequence[str] | None = ("IN", "PIN", "MIN", "BN", "SY", "TMSY", "PSN"),
        sources: Sequence[str] | None = ("RXNORM",),
        suppressed: bool = False,
        obsolete: bool = False,
        veterinary: bool = True,
        code: Literal["rxcui", "ingredient"] = "rxcui",
        name: str | None = None,
    ):
        self._release = Release(path)
        self._prescribable = prescribable
        self._term_types = term_types
        self._sources = sources
        self._suppress = Filter(
            f"suppressed={suppressed}, obsolete={obsolete}",
            "SUPPRESS",
            frozenset(("" if suppressed else "EY") + ("" if obsolete else "O")),
            keep=False,
        )
        self._veterinary = veterinary
        self._code = code

    def source_files(self) -> Sequence[Path]:
        """The tables that the options need, or the zip of them."""
        tables = [RXNCONSO]
        if self._code == "ingredient":
            tables.append(RXNREL)
        if not self._veterinary:
            tables.append(RXNSAT)
        return self._release.files(map(self._file, tables))

    def __iter__(self) -> Iterator[Concept]:
        atoms = self._atoms()
        codes = self._ingredients(atoms) if self._code == "ingredient" else {}
        members: defaultdict[str, list[str]] = defaultdict(list)
        for rxcui in atoms:
            members[codes.get(rxcui, rxcui)].append(rxcui)
        for code, rxcuis in members.items():
            rxcuis.sort(key=code.__ne__)  # the ingredient's own names go first
            names = [atom for rxcui in rxcuis for atom in sorted(atoms[rxcui], key=itemgetter(0))]
            types = {type_ for _, type_, _ in names}
            yield Concept.named(code, (text for *_, text in names), types - _FURTHER or types)

    def _atoms(self) -> dict[str, list[tuple[int, str, str]]]:
        """Rank (the preferred name's is lowest), term type and text of each name taken, by RXCUI.

        All at once: a drug's rows need not be adjacent.
        """
        file = self._file(RXNCONSO)
        filters = [self._suppress]
        if self._prescribable and not _in_subset(file):
            filters.append(Filter("prescribable=True", "CVF", frozenset({"4096"})))
        for option, column, cells in (("sources", "SAB", self._sources), ("term_types", "TTY", self._term_types)):
            if cells is not None:
                filters.append(Filter(f"{option}={list(cells)}", column, frozenset(cells)))
        types = list(self._term_types or ())
        ranks = {type_: rank for rank, type_ in enumerate(types or _ORDER)}
        sources = {source: 1000 * rank for rank, source in enumerate(self._sources or ("RXNORM",))}
        atoms: dict[str, list[tuple[int, str, str]]] = {}
        for line, row in selected(RXNCONSO, self._release, file, filters):
            rxcui, source, type_, text = _NAME(row)
            if not rxcui:
                raise DataError(
                    "the RXCUI is empty; is the file as it was published?",
                    path=self._release.where(file),
                    line=line,
                    column=1,
                )
            if text:
                rank = sources.get(source, 1000) + ranks.get(type_, 400)
                atoms.setdefault(rxcui, []).append((rank, type_, text))
        if not atoms:
            raise nothing_left(RXNCONSO, self._release, [file], filters)
        if kinds := set(types) - _FURTHER:
            atoms = {rxcui: names for rxcui, names in atoms.items() if any(name[1] in kinds for name in names)}
        if not self._veterinary:
            for rxcui in self._only_veterinary():
                atoms.pop(rxcui, None)
        if not atoms:
            raise DataError(
                f"term_types={types}, veterinary={self._veterinary} leave no concept; give more term types",
                path=self._release.where(file),
            )
        return atoms

    def _only_veterinary(self) -> set[str]:
        marked: dict[str, set[str]] = {"RXN_HUMAN_DRUG": set(), "RXN_VET_DRUG": set()}
        filters = [Filter("veterinary=False", "ATN", frozenset(marked))]
        for _, row in selected(RXNSAT, self._release, self._file(RXNSAT), filters):
            rxcui, attribute = _ATTRIBUTE(row)
            marked[attribute].add(rxcui)
        return marked["RXN_VET_DRUG"] - marked["RXN_HUMAN_DRUG"]

    def _ingredients(self, atoms: Mapping[str, Sequence[tuple[int, str, str]]]) -> dict[str, str]:
        """The code that each RXCUI of `atoms` goes under, where that is not its own."""
        of_rxnorm = Filter("code='ingredient'", "SAB", frozenset({"RXNORM"}))
        products = any(type_ not in _SUBSTANCES for names in atoms.values() for _, type_, _ in names)
        ingredients, combinations, walked = set(), [], set()
        for _, row in selected(RXNCONSO, self._release, self._file(RXNCONSO), [of_rxnorm, self._suppress]):
            rxcui, _, type_, _ = _NAME(row)
            if type_ == "IN":
                ingredients.add(rxcui)
            elif products or type_ in _SUBSTANCES:
                walked.add(rxcui)
                if type_ == "MIN":
                    combinations.append(rxcui)
        upward: defaultdict[str, set[str]] = defaultdict(set)
        for _, row in selected(RXNREL, self._release, self._file(RXNREL), [of_rxnorm, self._suppress, _RELATIONS]):
            lower, relation, upper = _RELATION(row)
            if relation in _DOWNWARD:
                lower, upper = upper, lower
            if lower in walked:
                upward[lower].add(upper)

        def reached(rxcui: str) -> frozenset[str]:
            found, seen, waiting = set[str](), {rxcui}, [rxcui]
            while waiting:
                above = upward.get(waiting.pop(), set()) - seen
                found |= above & ingredients
                seen |= above
                waiting += above - ingredients
            return frozenset(found)

        # Of MINs alike, the one made of plain ingredients, not of salts; then the oldest.
        combinations.sort(key=lambda rxcui: (not upward[rxcui] <= ingredients, len(rxcui), rxcui))
        combined: dict[frozenset[str], str] = {}
        for rxcui in combinations:
            combined.setdefault(reached(rxcui), rxcui)
        codes = {}
        for rxcui in atoms.keys() - ingredients:
            found = reached(rxcui)
            codes[rxcui] = next(iter(found)) if len(found) == 1 else combined.get(found, rxcui) if found else rxcui
        return codes

    def _file(self, table: RrfTable) -> str:
        found = self._release.find(table.file)
        subset = [name for name in found if _in_subset(name)]
        whole = [name for name in found if not _in_subset(name)]
        among = (subset or whole) if self._prescribable else (whole or subset)
        return self._release.one(table.file, table.holds, among=among)


def _in_subset(file: str) -> bool:
    """Whether it lies in the folder of a full release that holds the Current Prescribable Content."""
    return "prescribe" in file.lower().split("/")[:-1]


_FURTHER = frozenset({"SY", "TMSY", "PSN", "ET"})
_SUBSTANCES = frozenset({"IN", "PIN", "MIN", "BN"}) | _FURTHER
_ORDER = ("IN", "PIN", "MIN", "BN", "SCD", "SBD", "GPCK", "BPCK", "PSN", "SY", "TMSY", "ET")
_NAME = RXNCONSO.cells("RXCUI", "SAB", "TTY", "STR")
_ATTRIBUTE = RXNSAT.cells("RXCUI", "ATN")

# A row of RXNREL reads "RXCUI2 RELA RXCUI1"; each relationship is there in both directions.
_RELATION = RXNREL.cells("RXCUI2", "RELA", "RXCUI1")
_INVERSES = {
    "tradename_of": "has_tradename",
    "form_of": "has_form",
    "has_part": "part_of",
    "has_ingredient": "ingredient_of",
    "has_precise_ingredient": "precise_ingredient_of",
    "has_ingredients": "ingredients_of",
    "consists_of": "constitutes",
    "contains": "contained_in",
}
_DOWNWARD = frozenset(_INVERSES.values())
_RELATIONS = Filter("code='ingredient'", "RELA", frozenset(_INVERSES) | _DOWNWARD)

"""Vital signs as a clinidistill teacher: rules with ranges, and LOINC codes."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import clinidistill as cd

__all__ = ["VitalSigns"]


class _Rule(NamedTuple):
    code: str
    pattern: re.Pattern[str]
    ranges: Sequence[Sequence[tuple[float, float]]]

    def plausible(self, numbers: Iterable[str]) -> bool:
        """Whether each number lies in one of its ranges: "BP 12/10" is a date, and "T 12" a vertebra."""
        pairs = zip(map(float, numbers), self.ranges, strict=True)
        return all(any(low <= number <= high for low, high in allowed) for number, allowed in pairs)


class VitalSigns(cd.Teacher):
    """Marks vital signs with their values, where these can be, and gives them the LOINC code of the observation.

    Args:
        label: what mentions are marked as.
        rules: a TOML file like the package's ``rules.toml``; None takes that.
        name: how it is called in stores and tables.

    Raises:
        OptionError: if the file cannot be read, or a rule in it is not as it should be.
    """

    def __init__(self, label: str = "vital sign", rules: str | Path | None = None, name: str | None = None):
        own = importlib.resources.files(__package__) / "rules.toml"
        source = own if rules is None else Path(rules)
        self.label = label
        try:
            self._text = source.read_text(encoding="utf-8")
            self._rules = [_rule(said) for said in tomllib.loads(self._text)["rules"]]
        except (OSError, ValueError, KeyError, TypeError, re.error) as error:
            raise cd.errors.OptionError(f"{source} holds no rules that can be used: {error}") from None

    def fingerprint_data(self) -> Mapping[str, Any]:
        """What the rules say, wherever their file lies: edited rules are another teacher, and label anew."""
        return {**super().fingerprint_data(), "rules": self._text}

    def label_document(self, document: cd.Document) -> Iterable[cd.Span]:
        for rule in self._rules:
            for match in rule.pattern.finditer(document.text):
                if rule.plausible(match.groups()):
                    yield cd.Span(match.start(), match.end(), self.label, code=rule.code)


def _rule(said: Mapping[str, Any]) -> _Rule:
    rule = _Rule(said["code"], re.compile(said["pattern"], re.IGNORECASE | re.ASCII), said["ranges"])
    if rule.pattern.groups != len(rule.ranges):
        raise ValueError(f"the rule {said['name']!r} needs ranges for each group of its pattern")
    return rule

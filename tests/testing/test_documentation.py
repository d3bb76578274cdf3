"""Each rule has a paragraph in the documentation, and each paragraph a rule."""

import re
from pathlib import Path

from clinidistill.testing.kinds import KINDS, rules_of

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
RULES = {rule.id: rule for kind in KINDS for rule in rules_of(kind)}
PARAGRAPHS = dict(re.findall(r"^### (\S+/\S+)\n\n(.+?)\n(?=\n|\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S))


def test_every_rule_has_its_paragraph_and_every_paragraph_its_rule():
    assert PARAGRAPHS.keys() == RULES.keys()


def test_every_rule_says_what_it_asks_for_and_links_to_its_paragraph():
    for name, rule in RULES.items():
        assert rule.sentence.endswith("."), name
        assert rule.link == f"docs/conformance.md#{re.sub(r'[^a-z-]', '', name)}"

"""Docstrings as Markdown: doctests become code blocks, roles such as ``:func:`label``` become references."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")
_DOCTEST = re.compile(r"^( *)>>> .*\n(?:\1(?! *$).*(?:\n|\Z))*", re.MULTILINE)


class Markdown(griffe.Extension):
    """Rewrites each docstring when it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            text = _DOCTEST.sub(_fenced, obj.docstring.value + "\n")
            obj.docstring.value = _ROLE.sub(lambda match: f"`{match[1].rpartition('.')[2]}`", text).rstrip()


def _fenced(match: re.Match[str]) -> str:
    indent = match[1]
    return f"{indent}```pycon\n{match[0].rstrip()}\n{indent}```\n"

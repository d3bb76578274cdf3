"""Files of the repository that pages link to, outside of docs/, are part of the site: under ``repository/``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )(\.\./[^)\s#]+)", re.MULTILINE)
_ALWAYS = ("CONTRIBUTING.md", "CHANGELOG.md")


def _outside(target: str, page: str) -> str | None:
    """A link's target as a path in the repository, if it leaves docs/ and is there."""
    path = normpath(PurePosixPath("docs", page).parent / target)
    return path if not path.startswith(("docs/", "..")) and (_ROOT / path).exists() else None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to."""
    wanted = set(_ALWAYS)
    for file in files.documentation_pages():
        found = (_outside(match[2], file.src_uri) for match in _LINK.finditer(file.content_string))
        wanted |= {path for path in found if path is not None}
    for path in sorted(wanted):
        inside = sorted((_ROOT / path).rglob("*")) if (_ROOT / path).is_dir() else [_ROOT / path]
        for each in inside:
            if each.is_file() and "__pycache__" not in each.parts:
                uri = f"repository/{each.relative_to(_ROOT).as_posix()}"
                file = File.generated(config, uri, abs_src_path=str(each))
                file.inclusion = InclusionLevel.INCLUDED if path in _ALWAYS else InclusionLevel.NOT_IN_NAV
                files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to these files; those of the files themselves, back into docs/ or to one another."""
    uri = page.file.src_uri
    here = PurePosixPath(uri).parent

    def led(match: re.Match[str]) -> str:
        path = _outside(match[2], uri)
        if path is None:
            return match[0]
        if (_ROOT / path).is_dir():
            path += "/README.md" if (_ROOT / path / "README.md").is_file() else "/"
        return match[1] + relpath(f"repository/{path}", here)

    if uri.startswith("repository/"):
        return re.sub(r"\]\(((?![a-z]+:)[^)#]+)", lambda match: _from_repository(match, uri), markdown)
    return _LINK.sub(led, markdown)


def _from_repository(match: re.Match[str], uri: str) -> str:
    path = normpath(PurePosixPath(uri.removeprefix("repository/")).parent / match[1])
    target = path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"
    return "](" + relpath(target, PurePosixPath(uri).parent)

"""New packages: what a plugin's author begins with."""

from __future__ import annotations

from clinidistill.scaffold.plugin import KINDS, Kind, new_plugin

__all__ = ["KINDS", "Kind", "new_plugin"]

"""Language models: providers speak an API's wire format."""

from __future__ import annotations

from clinidistill.registry import registry

__all__ = ["register_provider"]

register_provider = registry("providers").register
"""Class decorator: makes a provider loadable by a name."""

"""A made-up language model API as a clinidistill provider, and a server of it on loopback."""

from clinidistill_parley.provider import Parley, ParleyTeacher

__all__ = ["Parley", "ParleyTeacher"]

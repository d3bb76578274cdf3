"""Corpora by name, each read as its publisher gives it out; one file a corpus."""

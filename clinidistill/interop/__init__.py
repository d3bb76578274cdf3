"""Spans where others expect them: spaCy pipelines, OMOP's NOTE_NLP table, FHIR resources; one module a neighbour."""

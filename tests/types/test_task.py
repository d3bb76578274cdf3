import re

import pytest

from clinidistill.component import digest
from clinidistill.errors import ConfigError
from clinidistill.types import CLINICAL, DISEASE, MEDICATION, SYMPTOM, EntityType, Task

DRUG = EntityType("drug", "A substance given to a patient.")


@pytest.mark.parametrize(("name", "definition"), [("", "What it is."), ("drug", "")])
def test_an_entity_type_needs_a_name_and_a_definition(name, definition):
    with pytest.raises(ConfigError, match="needs a name and a definition"):
        EntityType(name, definition)


def test_a_task_needs_an_entity_type():
    with pytest.raises(ConfigError, match="'empty' has no entity types"):
        Task("empty", ())


def test_a_task_names_the_entity_type_that_stands_twice():
    with pytest.raises(ConfigError, match="names an entity type twice: drug, drug"):
        Task("double", (DRUG, EntityType("drug", "Another.")))


def test_lists_become_tuples_so_that_a_task_is_hashable():
    assert hash(Task("drugs", [DRUG], [])) == hash(Task("drugs", (DRUG,)))


def test_a_task_finds_its_entity_types_by_label():
    assert Task("drugs", (DRUG,))["drug"] is DRUG
    with pytest.raises(KeyError, match="disease"):
        Task("drugs", (DRUG,))["disease"]


def test_the_clinical_task_is_the_three_single_ones_together():
    assert CLINICAL.labels == MEDICATION.labels + DISEASE.labels + SYMPTOM.labels
    assert CLINICAL.entities == MEDICATION.entities + DISEASE.entities + SYMPTOM.entities


@pytest.mark.parametrize("task", [CLINICAL, MEDICATION, DISEASE, SYMPTOM], ids=lambda task: task.name)
def test_the_worked_example_marks_whole_words_and_each_label_of_its_task(task):
    (example,) = task.examples
    assert example.labels == set(task.labels)
    words = {match.span()[0]: match for match in re.finditer(r"\w+", example.text)}
    ends = {match.end() for match in words.values()}
    assert all(span.start in words and span.end in ends for span in example.spans)
    assert all(example.covers_label(label) for label in task.labels)


def test_a_changed_guideline_is_another_task():
    changed = Task(MEDICATION.name, (EntityType("medication", MEDICATION["medication"].definition, "Other."),))
    assert digest(changed) != digest(MEDICATION)

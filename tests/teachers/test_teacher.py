import pytest

import clinidistill as cd
from clinidistill.errors import ClinidistillError

NOTE = cd.Document("n1", "On metformin.")


class Plugin(cd.Teacher):
    """Sets its name and labels as plugin authors do: by assignment."""

    def __init__(self, spans, labels=None, called=None):
        self.spans = spans
        if called is not None:
            self.name = called
        if labels is not None:
            self.labels = labels

    def label_document(self, document):
        return self.spans


def test_name_and_labels_can_be_assigned_or_be_class_attributes():
    class Named(Plugin):
        name = "rules"
        labels = ("medication",)

    span = cd.Span(3, 12, "medication")
    for teacher in (Plugin([span], ["medication"], "rules"), Named([span])):
        labels = cd.label([NOTE], teacher)
        assert labels.teachers == ("rules",)
        (opinions,) = labels
        assert opinions.annotations["rules"].covers == {"medication"}
        assert opinions.annotations["rules"].spans[0].source == "rules"


def test_a_teacher_without_labels_knows_all_and_is_called_as_its_class():
    teacher = Plugin([])
    assert (teacher.name, teacher.labels) == ("Plugin", None)


@pytest.mark.parametrize(
    ("spans", "says"),
    [
        ([cd.Span(3, 99, "medication")], "reaches outside document 'n1'"),
        ([cd.Span(3, 12, "drug")], "not among its labels"),
        (["metformin"], "AttributeError"),
    ],
)
def test_what_cannot_stand_is_a_failed_annotation_without_note_text(spans, says):
    (annotation,) = Plugin(spans, ["medication"]).annotate([NOTE])
    assert annotation.failed
    assert says in annotation.error
    assert "metformin" not in annotation.error
    with pytest.raises(ClinidistillError, match="failed on document 'n1'"):
        list(Plugin(spans, ["medication"]).predict([NOTE]))

import clinidistill as cd
from clinidistill.testing import check_student

NOTES = [
    cd.Document("n1", "Started aspirin for a cough.", [cd.Span(8, 15, "drug"), cd.Span(22, 27, "sign")]),
    cd.Document("n2", "No cough after insulin.", [cd.Span(3, 8, "sign"), cd.Span(15, 22, "drug")]),
]


def test_it_keeps_the_contract_of_students():
    student = cd.load_student("spacy", batch_words=10, dropout=0.0)
    cd.Distiller(epochs=30, show=False).fit(student, NOTES)
    check_student(student, NOTES)

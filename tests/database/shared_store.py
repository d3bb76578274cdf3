"""What tests of shared stores label: notes, a model that takes money, and a teacher that asks it."""

import json

from fault_server import chat_completion

import clinidistill as cd
from clinidistill.teachers import Teacher
from clinidistill.types import Document

TASK = {"name": "drugs", "entities": [{"name": "medication", "definition": "A drug."}]}
ANSWER = json.dumps({"mentions": [{"text": "metformin", "label": "medication"}]})
EACH = (400 * 0.15 + 100 * 0.60) / 1e6  # dollars of one answer of costly()


class Silent(Teacher):
    """Marks nothing."""

    def __init__(self, name: str = "silent"):
        pass

    def label_document(self, document):
        return ()


def notes(count):
    return [Document(f"n{number}", f"Note {number}: takes metformin daily.") for number in range(count)]


def costly(body):
    return chat_completion(body, ANSWER) | {"usage": {"prompt_tokens": 400, "completion_tokens": 100}}


def teacher(server, **options):
    return cd.load_teacher("openai", base_url=server.url, model="gpt-4o-mini", task=TASK, max_tokens=200, **options)

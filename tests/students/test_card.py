import json
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import ModelCard
from pydantic import SecretStr

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.students.card import model_card

GOLD = [cd.Document("n", "On aspirin.", [cd.Span(3, 10, "medication")])]


def test_the_card_is_one_that_huggingface_hub_reads():
    scores = cd.evaluate(GOLD, GOLD, bootstrap=20)
    card = ModelCard(
        model_card(
            "drug-ner",
            ["medication"],
            base="sentence-transformers/all-MiniLM-L6-v2",
            library="transformers",
            scores=scores,
            tested_on="made up",
        )
    )
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "token-classification"
    result = card.data.eval_results[0]
    assert (result.metric_name, result.metric_value) == ("strict F1, micro", 1.0)
    assert result.metric_args == {"interval_95": [1.0, 1.0]}
    assert {found.dataset_name for found in card.data.eval_results} == {"made up"}
    assert "- `medication`" in card.text
    assert "## Intended use and limits" in card.text


def test_paths_stay_out_of_the_card(tmp_path):
    (tmp_path / "secret" / "mini").mkdir(parents=True)
    card = model_card("x", ["a"], base=str(tmp_path / "secret" / "mini"))
    assert "secret" not in card
    assert "`mini`" in card
    assert ModelCard(card).data.base_model is None


@pytest.fixture
def student(tiny_base):
    student = cd.load_student("token-classifier", base=str(tiny_base), labels=["medication"], name="drug-ner")
    student.prepare(["medication"])
    return student


def test_a_saved_student_has_a_card_and_keeps_one_of_its_own(student, tmp_path):
    student.save(tmp_path / "a")
    card = ModelCard.load(tmp_path / "a" / "README.md")
    assert card.data.pipeline_tag == "token-classification"
    assert "# drug-ner" in card.text
    student.save(tmp_path / "b", card="# Mine\n")
    cd.load_student(tmp_path / "b").save(tmp_path / "c")
    assert (tmp_path / "c" / "README.md").read_text() == "# Mine\n"


class Hub(BaseHTTPRequestHandler):
    """What an upload of small files asks of a Hugging Face hub."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.tokens.append(self.headers.get("authorization"))
        if self.server.refuse:
            return self.answer(self.server.refuse, {"error": "no"})
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self.answer(200, {"url": f"https://huggingface.co/team/{json.loads(body)['name']}", "id": "x"})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if "/commit/" in self.path:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    self.server.files[item["value"]["path"]] = b64decode(item["value"]["content"])
            return self.answer(
                200,
                {"commitUrl": "https://huggingface.co/team/drug-ner/commit/abc", "commitOid": "abc", "success": True},
            )
        return self.answer(404, {})

    def do_GET(self):
        self.answer(200, {"id": "team/drug-ner", "sha": "abc", "siblings": []})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args): ...


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.created, server.files, server.tokens, server.refuse = [], {}, [], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_push_to_hub_uploads_the_folder(student, hub, tmp_path):
    student.push_to_hub("team/drug-ner", token=SecretStr("hf_secret"))
    assert hub.created[0].get("private") or hub.created[0]["visibility"] == "private"
    assert {"README.md", "model.safetensors", "config.json", "clinidistill.json"} <= set(hub.files)
    assert set(hub.tokens) == {"Bearer hf_secret"}
    for name, content in hub.files.items():
        (tmp_path / name).write_bytes(content)
    assert cd.load_student(tmp_path).labels == ("medication",)


def test_a_hub_that_refuses_says_so_without_the_token(student, hub):
    hub.refuse = 403
    with pytest.raises(ConfigError, match="the hub answered 403.*hf auth login") as caught:
        student.push_to_hub("team/drug-ner", token="hf_secret")
    assert "hf_secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="could not upload"):
        student.push_to_hub("not a name !", token="hf_secret")

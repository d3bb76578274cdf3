import copy
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch.optim.optimizer import register_optimizer_step_pre_hook

import clinidistill as cd
from clinidistill import Distiller, Document, Span
from clinidistill.distiller.vocabulary import Vocabulary
from clinidistill.errors import ConfigError, OptionError
from clinidistill.students.base import Student
from clinidistill.students.encoding import token_batches
from clinidistill.students.token_classifier import TokenClassifier


def distiller(epochs=2, lr=5e-3, batch_tokens=128, **settings):
    return Distiller(epochs, lr, batch_tokens, **{"precision": "fp32", "device": "cpu", "show": False, **settings})


@pytest.fixture
def script_dev_f1(monkeypatch):
    """Let dev F1 follow a script; gives the weights that each epoch ended with."""

    def follow(student, *scores):
        seen, script = [], iter(scores)

        def scripted(*_, **__):
            seen.append(copy.deepcopy(student.model.state_dict()))
            f1 = SimpleNamespace(micro=SimpleNamespace(f1=next(script)))
            return SimpleNamespace(strict=f1, lenient=f1)

        monkeypatch.setattr("clinidistill.distiller.loop.evaluate", scripted)
        return seen

    return follow


def same_weights(left, right):
    """Whether all weights are the same but for the embedding, of which a training holds the rows that it needs."""
    return left.keys() == right.keys() and all(
        torch.equal(value, right[name]) for name, value in left.items() if "word_embeddings" not in name
    )


def test_a_tiny_student_learns_twenty_notes(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    history = distiller(25).fit(student, notes, dev=notes)
    assert student.labels == ("medication", "symptom")
    assert cd.evaluate(student, notes).strict.micro.f1 > 0.95
    assert history.losses[-1] < 0.1 < 0.5 < history.losses[0]


def test_the_seed_alone_decides_the_losses(tiny_base, notes):
    first, second, other = (distiller(seed=seed).fit(TokenClassifier(tiny_base), notes).losses for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_what_ran_before_changes_no_loss(tiny_base, notes):
    first = distiller().fit(TokenClassifier(tiny_base), notes).losses
    torch.rand(7)
    distiller(precision="bf16").fit(TokenClassifier(tiny_base, name="other"), notes[:3])
    assert distiller().fit(TokenClassifier(tiny_base), notes).losses == first


def test_gold_and_silver_go_the_same_way(tiny_base, notes):
    silver = [
        note.with_spans([Span(s.start, s.end, s.label, 0.5, "vote") for s in note.spans], note.labels) for note in notes
    ]
    gold, votes = (
        distiller(soft_labels=False).fit(TokenClassifier(tiny_base), part).losses for part in (notes, silver)
    )
    assert gold == votes


def test_a_label_that_only_covers_names_is_learnt_to_be_absent(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    distiller(1).fit(student, [note.with_spans(note.spans, {"medication", "symptom", "disease"}) for note in notes])
    assert student.labels == ("disease", "medication", "symptom")


def test_a_stream_of_documents_will_do(tiny_base, notes):
    assert distiller(1).fit(TokenClassifier(tiny_base), iter(notes), dev=iter(notes[:3])).dev_f1


def test_the_weights_of_the_best_epoch_are_kept(tiny_base, notes, script_dev_f1):
    student = TokenClassifier(tiny_base)
    weights = script_dev_f1(student, 0.2, 0.9, 0.9, 0.5)
    history = distiller(4, patience=None).fit(student, notes, dev=notes)
    assert (history.best_epoch, history.dev_f1, history.stopped_early) == (2, [0.2, 0.9, 0.9, 0.5], False)
    assert same_weights(student.model.state_dict(), weights[1])
    assert not same_weights(weights[1], weights[3])


def test_rows_that_no_token_needs_are_as_they_were(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    student.prepare(["medication", "symptom"])
    whole = student.model.get_input_embeddings()
    before = whole.weight.detach().clone()
    distiller(2).fit(student, notes, dev=notes[:2])
    assert student.model.get_input_embeddings() is whole
    used = np.unique(np.concatenate([example.input_ids for example in student.encode(notes)]))
    moved = (whole.weight != before).any(1).numpy().nonzero()[0]
    assert set(moved) <= set(used.tolist())
    assert len(moved) > len(used) / 2


def test_training_on_some_rows_gives_the_losses_of_all(still_base, notes, monkeypatch):
    some = distiller(3).fit(TokenClassifier(still_base), notes).losses
    monkeypatch.setattr("clinidistill.distiller.loop.Vocabulary", lambda model, used: Vocabulary(model, used[:0]))
    assert distiller(3).fit(TokenClassifier(still_base), notes).losses == pytest.approx(some, rel=1e-4)


def test_the_kept_weights_score_what_the_history_says(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    history = distiller(8, lr=2e-2, patience=None).fit(student, notes, dev=notes[:5])
    assert cd.evaluate(student, notes[:5]).strict.micro.f1 == max(history.dev_f1) > 0


def test_it_stops_when_dev_f1_no_longer_rises(tiny_base, notes, script_dev_f1):
    student = TokenClassifier(tiny_base)
    weights = script_dev_f1(student, 0.5, 0.4, 0.6, 0.6, 0.1, 0.9)
    history = distiller(6, patience=2).fit(student, notes, dev=notes)
    assert (len(history.epochs), history.best_epoch, history.stopped_early) == (5, 3, True)
    assert same_weights(student.model.state_dict(), weights[2])


def test_without_dev_notes_the_last_epoch_is_kept(tiny_base, notes):
    history = distiller(3).fit(TokenClassifier(tiny_base), notes)
    assert (history.best_epoch, history.dev_f1, history.stopped_early) == (3, [], False)


@pytest.mark.parametrize("batches", [2, 3])
def test_accumulated_batches_count_as_one(still_base, notes, batches):
    student = TokenClassifier(still_base, ["medication", "symptom"])
    lengths = [len(example) for example in student.encode(notes)]
    budget = next(b for b in itertools.count(max(lengths)) if len(list(token_batches(lengths, b))) <= batches)
    whole = distiller(4, batch_tokens=10**6).fit(TokenClassifier(still_base), notes)
    parts = distiller(4, batch_tokens=budget, accumulate=batches).fit(TokenClassifier(still_base), notes)
    assert len(parts.steps) == len(whole.steps) == 4
    assert parts.losses == pytest.approx(whole.losses, rel=1e-4)


def test_the_first_loss_is_the_mean_over_all_tokens(still_base, notes):
    student = TokenClassifier(still_base)
    transformers.set_seed(0)
    student.prepare(["medication", "symptom"])
    examples = list(student.encode(notes))
    model = copy.deepcopy(student.model)
    total = sum(float(student.loss(model, [example], torch.device("cpu")).detach()) for example in examples)
    tokens = sum(int((example.targets >= 0).sum()) for example in examples)
    history = distiller(1, batch_tokens=10**6).fit(student, notes)
    assert history.losses == pytest.approx([total / tokens], rel=1e-5)
    assert history.epochs[0]["tokens"] == tokens


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_the_rate_rises_and_falls_as_transformers_schedule_does(tiny_base, notes, warmup):
    history = distiller(3, lr=2.0**-10, warmup=warmup).fit(TokenClassifier(tiny_base), notes)
    rates = [record["lr"] for record in history.steps]
    total = len(rates)
    warm = -int(-warmup * total // 1)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0**-10)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, warm, total)
    theirs = [2.0**-10 * schedule.lr_lambdas[0](step + 1 if step < warm else step) for step in range(total)]
    if warmup == 1.0:
        theirs[-1] = 2.0**-10  # theirs is 0 there: it falls before it has risen
    assert rates == pytest.approx(theirs)
    assert max(rates) == 2.0**-10


@pytest.mark.parametrize("limit", [1e-3, None])
def test_gradients_are_clipped_to_the_norm(tiny_base, notes, limit):
    norms = []

    def note_norm(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))))

    hook = register_optimizer_step_pre_hook(note_norm)
    try:
        distiller(1, max_grad_norm=limit).fit(TokenClassifier(tiny_base), notes)
    finally:
        hook.remove()
    assert norms
    assert all(norm <= 1.01e-3 for norm in norms) if limit else min(norms) > 1e-2


def test_biases_and_norms_do_not_decay(tiny_base, notes):
    seen = []
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(optimizer.param_groups))
    try:
        student = TokenClassifier(tiny_base)
        distiller(1, weight_decay=0.3).fit(student, notes)
    finally:
        hook.remove()
    decays = {id(p): group["weight_decay"] for group in seen[0] for p in group["params"]}
    for name, parameter in student.model.named_parameters():
        if "word_embeddings" in name:  # trained as rows of its own
            continue
        assert decays[id(parameter)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3)


def test_bf16_trains_on_a_cpu_and_leaves_the_model_as_it_was(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    history = distiller(15, precision="bf16").fit(student, notes)
    assert history.losses[-1] < 0.3
    assert {p.dtype for p in student.model.parameters()} == {torch.float32}
    plain = type(student.model)(student.model.config).eval()
    plain.load_state_dict(student.model.state_dict())
    ids = torch.from_numpy(next(student.encode(notes)).input_ids)[None]
    assert torch.equal(student.model(ids).logits, plain(ids).logits)


def test_fp16_is_refused_on_a_cpu(tiny_base, notes):
    with pytest.raises(ConfigError, match="GPU"):
        distiller(precision="fp16").fit(TokenClassifier(tiny_base), notes)


def test_notes_without_a_label_are_refused(tiny_base):
    with pytest.raises(ConfigError, match="no label"):
        distiller().fit(TokenClassifier(tiny_base), [Document("n", "took aspirin")])


@pytest.mark.parametrize("documents", [[], [Document("n", " ")], [Document("n", "aspirin", covers={"disease"})]])
def test_nothing_to_learn_from_is_refused(tiny_base, documents):
    with pytest.raises(ConfigError, match="no text"):
        distiller().fit(TokenClassifier(tiny_base, ["medication"]), documents)


def test_empty_notes_among_others_take_no_step(tiny_base, notes):
    mixed = [Document("e1", ""), *notes, Document("e2", "\n")]
    assert len(distiller(1).fit(TokenClassifier(tiny_base), mixed).steps) == len(
        distiller(1).fit(TokenClassifier(tiny_base), notes).steps
    )


def test_labels_that_the_student_does_not_extract_are_passed_over(tiny_base, notes):
    student = TokenClassifier(tiny_base, ["medication"])
    distiller(1).fit(student, notes)
    assert student.labels == ("medication",)


class Rules(Student):
    """A student that no gradient trains."""

    labels = ("medication",)

    def predict(self, documents, **options):
        return iter(())

    def save(self, path, *, card=None):
        """Nothing to write."""

    @classmethod
    def load(cls, path):
        return cls()


def test_a_student_without_gradient_is_refused(notes):
    with pytest.raises(ConfigError, match="Rules cannot be trained"):
        distiller().fit(Rules(), notes)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"batch_tokens": 0},
        {"accumulate": 0},
        {"warmup": 1.1},
        {"weight_decay": -0.1},
        {"max_grad_norm": 0},
        {"precision": "fp8"},
        {"patience": 0},
        {"seed": -1},
        {"device": "tpu"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_out_of_range_are_named(settings):
    with pytest.raises(OptionError, match=next(iter(settings))):
        Distiller(**settings)


@pytest.mark.parametrize("arguments", [{"checkpoint_every": 5}, {"checkpoint_every": 0, "checkpoint": "x"}])
def test_checkpoint_every_needs_a_folder_and_a_number(tiny_base, notes, arguments):
    with pytest.raises(ConfigError, match="checkpoint_every"):
        distiller().fit(TokenClassifier(tiny_base), notes, **arguments)

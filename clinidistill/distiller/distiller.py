"""The Distiller: settings of a training, and the call that starts it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from accelerate.utils import set_seed

from clinidistill.datasets.base import as_dataset
from clinidistill.distiller.checkpoint import Checkpoints
from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.dynamics import Dynamics
from clinidistill.distiller.guidance import check_guides, guided
from clinidistill.distiller.history import History
from clinidistill.distiller.loop import Training, place
from clinidistill.distiller.settings import Settings
from clinidistill.errors import ConfigError
from clinidistill.students.base import Student
from clinidistill.students.trainable import Example, TrainableStudent
from clinidistill.types import Document

__all__ = ["Distiller"]


class Distiller(Settings):
    """Trains a student on labelled documents; gold and silver labels go the same way.

    AdamW (Loshchilov & Hutter, ICLR 2019) with linear warm-up and linear decay; token-budget batches of similar
    length; gradient accumulation and clipping; dev F1 (strict, micro) after each epoch, the best weights kept, early
    stopping on it; checkpoints from which a killed training goes on with the same losses. Under ``accelerate launch``
    or ``torchrun`` the batches of a step are shared out among the processes.

    Args:
        epochs: passes over the training data.
        lr: peak learning rate.
        batch_tokens: most tokens in a batch, padding included.
        accumulate: batches whose gradients one optimizer step sums, on each process.
        warmup: share of all steps in which the rate rises from 0.
        weight_decay: of all weights but biases and norms.
        max_grad_norm: gradients are clipped to this norm; None does not clip.
        precision: ``"fp32"``, ``"bf16"``, ``"fp16"`` (GPU only), or ``"auto"``: bf16 where the hardware computes in it.
        patience: epochs without a better dev F1 before it stops; None never stops early.
        soft_labels: whether a span's score is how likely its tags are; else all spans are certain.
        confidence_weights: whether a token counts as much as its likeliest tag is likely.
        gce: exponent of the generalised cross-entropy, from 0 (cross-entropy) to 1 (absolute error); see
            :class:`~clinidistill.students.objective.Objective`.
        outside: weight of tokens outside all spans; below 1 where many mentions are not marked.
        guide_weight: share of the guides in the targets.
        guide_outside: whether guides speak only of what lies outside all spans, and so complete the labels.
        guide_confidence: tokens of the pool of which the guides are less sure than this take no part.
        rounds: trainings, each from the start; from the second on, the student of the round before guides (Furlanello
            et al., *Born-Again Neural Networks*, 2018), also through the pool (self-training).
        relabel: between rounds, tokens get the tag that the student found at least so likely, on average over the
            epochs (:mod:`~clinidistill.distiller.dynamics`); None relabels none. It takes a pass over the examples an
            epoch.
        calibrate: whether the score of being outside all spans is shifted, after each round, to what gives the best dev
            F1.
        ema: decay of a moving average of the weights, which is what dev F1 chooses and the student keeps; None: none.
        self_distillation: share of the averaged student's opinion in the targets from the second epoch on; needs `ema`.
        gradient_checkpointing: whether what layers compute is computed again on the way back in place of being kept:
            less memory, a third more time, for long windows and large models.
        compile: whether the model is compiled by torch first; some minutes at the start, faster steps on GPUs.
        packed: whether the examples of a batch stand end to end in one row, each read as if alone, in place of padded
            rows; for GPUs, whose batches are large.
        seed: of the head, dropout and batch order.
        device: ``"cpu"`` keeps it off a GPU; None takes what accelerate finds.
        show: progress bar on stderr; None shows it on a terminal only.

    Raises:
        OptionError: if a setting is out of range.
    """

    def fit(
        self,
        student: Student,
        train: Iterable[Document],
        dev: Iterable[Document] | None = None,
        *,
        guides: Sequence[Student] = (),
        pool: Iterable[Document] | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        cache: str | Path | None = None,
    ) -> History:
        """Train `student` in place.

        Args:
            student: one that is trained by gradient, such as ``token-classifier``; any other learns in its own way
                (:meth:`Student.learn`), from these settings and without checkpoints.
            train: labelled documents; a label outside a document's ``covers`` takes no part in its loss. A dataset is
                streamed, and need not fit in memory.
            dev: labelled documents to choose the best epoch by; None keeps the last.
            guides: trained students whose mean opinion of each token has a share of `guide_weight` in its target, and
                all of it in the pool: a larger model to be distilled, or an ensemble. They need the student's labels
                and tokenizer. With several `rounds`, they guide the first.
            pool: notes to learn from guides alone, whatever labels they hold; needs `guides` or several `rounds`.
            checkpoint: folder to keep a checkpoint in; if it holds one of this training, training goes on from there.
            checkpoint_every: optimizer steps between checkpoints; None makes one an epoch.
            cache: folder to keep the tokenised documents in for the next training on them; it then holds what the notes
                say. None keeps nothing.

        Returns:
            The record of the last round, earlier parts of a resumed one included.

        Raises:
            ConfigError: if the student cannot be trained so, or there is nothing to learn from.
            CheckpointError: if the folder holds a checkpoint of another training, or a damaged one.
        """
        documents = as_dataset(train)
        if not isinstance(student, TrainableStudent):
            if guides or pool is not None or self.rounds > 1 or checkpoint_every is not None:
                raise ConfigError(
                    f"{type(student).__name__} learns in its own way, without guides, rounds and checkpoints"
                )
            return student.learn(documents, None if dev is None else list(dev), self)
        labels = sorted(set(student.labels) or _labels_in(documents))
        if not labels:
            raise ConfigError(
                "the training documents hold no label to learn; give the student labels, or check the teachers"
            )
        if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
            raise ConfigError("checkpoint_every needs a checkpoint folder, and must be 1 or more")
        if pool is not None and not guides and self.rounds < 2:
            raise ConfigError(
                "nobody says what is in the pool: give guides, or let the student guide itself (rounds=2)"
            )
        if self.calibrate and dev is None:
            raise ConfigError("calibrate needs dev documents")
        set_seed(self.seed)
        student.prepare(labels)
        encoded = student.encode(documents) if cache is None else Corpus.cached(student, documents, cache)
        own = encoded if isinstance(encoded, Corpus) else Corpus(encoded)
        unlabelled = None if pool is None else Corpus(student.encode(_bare(pool)))
        gold = None if dev is None else list(dev)
        start = copy.deepcopy(student.model.state_dict()) if self.rounds > 1 else {}
        teaching = check_guides(guides, student)
        for number in range(self.rounds):
            if number:
                teaching = [copy.deepcopy(student)]
                student.model.load_state_dict(start)
            examples: Iterable[Example] = own
            if teaching:
                together = own if unlabelled is None else itertools.chain(own, unlabelled)
                examples = guided(
                    together,
                    teaching,
                    self.guide_weight,
                    place(self),
                    outside_only=self.guide_outside,
                    confidence=self.guide_confidence,
                )
            corpus = (examples if isinstance(examples, Corpus) else Corpus(examples)).learnable()
            if not corpus:
                raise ConfigError("the training documents hold no text to learn from")
            dynamics = None
            if self.relabel is not None and number < self.rounds - 1:
                dynamics = Dynamics(own, 1 + 2 * len(student.labels))
            run = Training(self, student, corpus, gold, dynamics)
            store = None
            if checkpoint is not None:
                folder = Path(checkpoint) if self.rounds == 1 else Path(checkpoint) / f"round-{number + 1}"
                store = Checkpoints(folder, run.fingerprint())
            try:
                history = run.go(store, checkpoint_every)
            finally:
                run.release()
            if self.calibrate and gold is not None:
                student.calibrate(gold)
            if dynamics is not None and self.relabel is not None:
                own = Corpus(dynamics.relabelled(self.relabel))
        return history


def _bare(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents without labels, and with none looked for."""
    return (document.with_spans([], frozenset()) for document in documents)


def _labels_in(documents: Iterable[Document]) -> set[str]:
    found: set[str] = set()
    for document in documents:
        found |= document.labels | (document.covers or frozenset())
    return found

"""The Distiller: settings of a training, and the call that starts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from accelerate.utils import set_seed

from clinidistill.datasets.base import as_dataset
from clinidistill.distiller.checkpoint import Checkpoints
from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.guidance import check_guides, guided
from clinidistill.distiller.history import History
from clinidistill.distiller.loop import Training, place
from clinidistill.distiller.settings import Settings
from clinidistill.errors import ConfigError
from clinidistill.students.base import Student
from clinidistill.students.trainable import TrainableStudent
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
        ema: decay of a moving average of the weights, which is what dev F1 chooses and the student keeps; None: none.
        self_distillation: share of the averaged student's opinion in the targets from the second epoch on; needs `ema`.
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
                all of it in documents that cover no label (``covers=frozenset()``): a larger model to be distilled, an
                ensemble, or earlier students in self-training. They need the student's labels and tokenizer.
            checkpoint: folder to keep a checkpoint in; if it holds one of this training, training goes on from there.
            checkpoint_every: optimizer steps between checkpoints; None makes one an epoch.
            cache: folder to keep the tokenised documents in for the next training on them; it then holds what the notes
                say. None keeps nothing.

        Returns:
            The record of the training, earlier parts of a resumed one included.

        Raises:
            ConfigError: if the student cannot be trained so, or there is nothing to learn from.
            CheckpointError: if the folder holds a checkpoint of another training, or a damaged one.
        """
        documents = as_dataset(train)
        if not isinstance(student, TrainableStudent):
            if guides or checkpoint_every is not None:
                raise ConfigError(f"{type(student).__name__} learns in its own way, without guides and checkpoints")
            return student.learn(documents, None if dev is None else list(dev), self)
        labels = sorted(set(student.labels) or _labels_in(documents))
        if not labels:
            raise ConfigError(
                "the training documents hold no label to learn; give the student labels, or check the teachers"
            )
        if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
            raise ConfigError("checkpoint_every needs a checkpoint folder, and must be 1 or more")
        set_seed(self.seed)
        student.prepare(labels)
        encoded = student.encode(documents) if cache is None else Corpus.cached(student, documents, cache)
        if guides:
            encoded = guided(encoded, check_guides(guides, student), self.guide_weight, place(self))
        examples = (encoded if isinstance(encoded, Corpus) else Corpus(encoded)).learnable()
        if not examples:
            raise ConfigError("the training documents hold no text to learn from")
        gold = None if dev is None else list(dev)
        run = Training(self, student, examples, gold)
        store = None if checkpoint is None else Checkpoints(checkpoint, run.fingerprint())
        try:
            return run.go(store, checkpoint_every)
        finally:
            run.release()


def _labels_in(documents: Iterable[Document]) -> set[str]:
    found: set[str] = set()
    for document in documents:
        found |= document.labels | (document.covers or frozenset())
    return found

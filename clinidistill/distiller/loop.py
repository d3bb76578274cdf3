"""The training loop, on accelerate: one process or many, CPU or GPU, the same call."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import accelerate
import numpy as np
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from numpy.typing import NDArray

from clinidistill.component import digest
from clinidistill.distiller.average import Average
from clinidistill.distiller.batches import BatchPlan
from clinidistill.distiller.checkpoint import Checkpoints, Progress
from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.drop_key import drop_keys
from clinidistill.distiller.dynamics import Dynamics
from clinidistill.distiller.flops import peak_flops, training_flops
from clinidistill.distiller.guidance import guided
from clinidistill.distiller.history import History
from clinidistill.distiller.settings import Settings
from clinidistill.distiller.vocabulary import Vocabulary
from clinidistill.errors import CheckpointError, ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.progress import track
from clinidistill.students.trainable import Example, TrainableStudent
from clinidistill.types import Document

__all__ = ["Training", "place"]


class Training:
    """One training on its way.

    Args:
        settings: the Distiller's.
        student: prepared for its labels.
        examples: what it learns from, in any order.
        dev: labelled documents to choose the best epoch by; None keeps the last.
        dynamics: to be told after each epoch what the student thinks; None: nobody is.
    """

    def __init__(
        self,
        settings: Settings,
        student: TrainableStudent,
        examples: Corpus,
        dev: list[Document] | None,
        dynamics: Dynamics | None = None,
    ):
        self.settings, self.student, self.examples, self.dev = settings, student, examples, dev
        self.dynamics = dynamics
        self.accelerator = _accelerator(settings)
        self.where, self.history = Progress(), History()
        self.per_step = settings.accumulate * self.accelerator.num_processes
        self.plan = BatchPlan(
            examples.lengths, settings.batch_tokens, self.per_step, packed=settings.packed, seed=settings.seed
        )
        self.total = settings.epochs * len(self.plan)
        self.mfu_seconds = _at_full_use(student.model, examples.lengths, self.accelerator)
        student.model.to(self.accelerator.device)
        with contextlib.ExitStack() as undo:  # also where a setting is refused
            undo.callback(drop_keys(student.model))
            self._lighten(student.model, undo)
            self.undo = undo.pop_all()
        self.vocabulary = Vocabulary(student.model, _tokens(student, examples, dev))
        fused = self.accelerator.device.type in {"cpu", "cuda"}
        optimizer = torch.optim.AdamW(_groups(student.model, settings.weight_decay), lr=settings.lr, fused=fused)
        self.model, self.optimizer = self.accelerator.prepare(student.model, optimizer)
        self.best: dict[str, torch.Tensor] | None = None
        self.average = None if settings.ema is None else Average(student.model, settings.ema)

    def fingerprint(self) -> str:
        """Of all that decides the course of this training."""
        dev = None if self.dev is None else [{**document.to_dict(), "meta": None} for document in self.dev]
        student = [self.student.fingerprint, self.student.labels]
        return digest([self.settings.fingerprint, student, self.examples.fingerprint, dev, self.per_step])

    def go(self, store: Checkpoints | None, every: int | None) -> History:
        if store is not None and self.accelerator.is_main_process:
            store.sweep()
        if store is not None and (newest := store.newest()) is not None:
            self._restore(store, newest)
        else:
            torch.manual_seed(self.settings.seed + self.accelerator.process_index)  # dropout differs by process
        with track(
            "training", total=self.total, show=self.settings.show if self.accelerator.is_main_process else False
        ) as bar:
            bar.advance(self.where.step)
            while not self.where.finished:
                self.model.train()
                for batches in self.plan.steps(self.where.epoch, self.where.step_in_epoch):
                    loss = self._step(batches)
                    bar.advance(1)
                    bar.note(epoch=self.where.epoch + 1, loss=f"{loss:.3f}")
                    if (
                        store is not None
                        and every
                        and self.where.step % every == 0
                        and self.where.step_in_epoch < len(self.plan)
                    ):
                        self._save(store)
                self._end_epoch()
                if self.history.dev_f1:
                    bar.note(dev_f1=f"{self.history.dev_f1[-1]:.3f}")
                if store is not None:
                    self._save(store)
        if self.best is not None:
            self.student.model.load_state_dict(self.best)
        elif self.average is not None:
            self.average.swap()
        return self.history

    def release(self) -> None:
        """Leave the model as a plain one, also after an interruption: no autocast around it, no dropout."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).eval()
        self.undo.close()
        self.vocabulary.restore()

    def _lighten(self, model: torch.nn.Module, undo: contextlib.ExitStack) -> None:
        """Have the model take less memory or time, where the settings say so."""
        if self.settings.packed:
            undo.callback(self.student.pack())
        if self.settings.gradient_checkpointing:
            if not getattr(model, "supports_gradient_checkpointing", False):
                raise ConfigError(f"a {type(model).__name__} has no gradient checkpointing; leave the setting out")
            _checkpointing(model, "enable")({"use_reentrant": False})
            undo.callback(_checkpointing(model, "disable"))
        if self.settings.compile:
            if self.accelerator.device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "cl"))):
                raise ConfigError("compile=True needs a C++ compiler on a CPU; install g++, or leave the setting out")
            model.compile(dynamic=True)
            undo.callback(setattr, model, "_compiled_call_impl", None)

    def _step(self, batches: list[list[int]]) -> float:
        """One optimizer step; returns the mean loss per token over all processes."""
        began = time.perf_counter()
        accelerator, here = self.accelerator, self.accelerator.process_index
        mine = batches[here :: accelerator.num_processes]
        tokens = int(self.examples.learnt[[n for batch in batches for n in batch]].sum())
        rate = self._rate(self.where.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        summed = torch.zeros((), device=accelerator.device)
        # A step with fewer batches than processes leaves some without one; they take part with an empty loss.
        for number, batch in enumerate(mine or [batches[0]]):
            last = number == max(len(mine), 1) - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(self.model):
                examples = self._taught([self.examples[n] for n in batch])
                loss = self.student.loss(self.model, examples, accelerator.device, self.settings.objective)
                # Gradients are averaged over processes; the sum over tokens divided by all tokens is what is wanted.
                scale = accelerator.num_processes / max(tokens, 1) if mine else 0.0
                accelerator.backward(loss * scale)
                summed += loss.detach() * bool(mine)
        if self.settings.max_grad_norm is not None:
            accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        total = float(accelerator.reduce(summed, reduction="sum"))
        where = self.where
        where.step += 1
        where.step_in_epoch += 1
        where.epoch_loss += total
        where.epoch_tokens += tokens
        where.epoch_seconds += time.perf_counter() - began
        mean = total / max(tokens, 1)
        self.history.steps.append({"step": where.step, "epoch": where.epoch + 1, "loss": mean, "lr": rate})
        return mean

    def _taught(self, examples: list[Example]) -> list[Example]:
        """The examples with a share of what the averaged student thinks of them, from the second epoch on."""
        weight = self.settings.self_distillation
        if not weight or self.average is None or not self.where.epoch:
            return examples
        with self.average.in_place():
            self.student.model.eval()
            taught = list(guided(examples, [self.student], weight, self.accelerator.device))
            self.student.model.train()
        return taught

    def _rate(self, step: int) -> float:
        """Linear warm-up, then linear decay to 0 at the end."""
        warm = math.ceil(self.settings.warmup * self.total)
        share = (step + 1) / warm if step < warm else (self.total - step) / max(1, self.total - warm)
        return self.settings.lr * min(1.0, share)

    def _end_epoch(self) -> None:
        where, settings = self.where, self.settings
        record: dict[str, Any] = {
            "epoch": where.epoch + 1,
            "loss": where.epoch_loss / max(where.epoch_tokens, 1),
            "tokens": where.epoch_tokens,
            "seconds": where.epoch_seconds,
            "tokens_per_second": where.epoch_tokens / max(where.epoch_seconds, 1e-9),
        }
        if self.mfu_seconds is not None:
            record["mfu"] = self.mfu_seconds / max(where.epoch_seconds, 1e-9)
        where.epoch += 1
        where.step_in_epoch, where.epoch_loss, where.epoch_tokens, where.epoch_seconds = 0, 0.0, 0, 0.0
        if self.dev is None:
            self.history.best_epoch = where.epoch
        else:
            with self.average.in_place() if self.average is not None else contextlib.nullcontext():
                record |= self._dev_scores(self.dev)
                if where.best_f1 is None or record["dev_f1"] > where.best_f1:
                    where.best_f1, where.stale, self.history.best_epoch = record["dev_f1"], 0, where.epoch
                    state = self.accelerator.unwrap_model(self.model).state_dict()
                    self.best = {name: value.detach().cpu().clone() for name, value in state.items()}
                else:
                    where.stale += 1
        if self.dynamics is not None:
            self.dynamics.update(self.student, self.accelerator.device)
        self.history.epochs.append(record)
        self.history.stopped_early = bool(
            settings.patience and where.stale >= settings.patience and where.epoch < settings.epochs
        )
        where.finished = where.epoch >= settings.epochs or self.history.stopped_early

    def _dev_scores(self, dev: list[Document]) -> dict[str, float]:
        """Dev F1, found by the main process and told to the others, so that all decide alike."""
        told: list[Any] = [None]
        if self.accelerator.is_main_process:
            device = str(self.accelerator.device)
            bare = [document.without_spans() for document in dev]
            scores = evaluate(dev, self.student.predict(bare, device=device), labels=self.student.labels)
            told = [{"dev_f1": scores.strict.micro.f1, "dev_f1_lenient": scores.lenient.micro.f1}]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(told)
        return dict(told[0])

    def _save(self, store: Checkpoints) -> None:
        accelerator, step = self.accelerator, self.where.step
        store.write_tensors(step, f"random-{accelerator.process_index}.safetensors", _random_state(accelerator.device))
        if accelerator.is_main_process:
            state = accelerator.unwrap_model(self.model).state_dict()
            store.write_tensors(step, "model.safetensors", state)
            if self.best is not None:
                store.write_tensors(step, "best.safetensors", self.best)
            moments = {
                f"{number}.{name}": value if isinstance(value, torch.Tensor) else torch.tensor(value)
                for number, entry in self.optimizer.state_dict()["state"].items()
                for name, value in entry.items()
            }
            store.write_tensors(step, "optimizer.safetensors", moments)
            if self.average is not None:
                store.write_tensors(step, "average.safetensors", self.average.values)
            if self.dynamics is not None:
                means = torch.from_numpy(self.dynamics.means)
                store.write_tensors(step, "dynamics.safetensors", {"means": means})
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self.where.history = self.history.to_dict()
            self.where.scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            store.finish(self.where)
        accelerator.wait_for_everyone()

    def _restore(self, store: Checkpoints, newest: Path) -> None:
        try:
            self._restore_from(store, newest)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # whole files that do not fit each other
            raise CheckpointError(f"{newest} is damaged ({type(error).__name__}); delete it") from error

    def _restore_from(self, store: Checkpoints, newest: Path) -> None:
        accelerator = self.accelerator
        self.where = store.progress(newest)
        self.history = History.from_dict(self.where.history)
        if self.where.best_f1 is not None:
            self.best = store.tensors(newest, "best.safetensors")
            self.student.model.load_state_dict(self.best)  # shows now whether they fit
        self.student.model.load_state_dict(store.tensors(newest, "model.safetensors"))
        if self.average is not None:
            self.average.restore(store.tensors(newest, "average.safetensors"), self.where.step)
        if self.dynamics is not None:
            self.dynamics.restore(store.tensors(newest, "dynamics.safetensors")["means"].numpy(), self.where.epoch)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in store.tensors(newest, "optimizer.safetensors").items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        if accelerator.scaler is not None and self.where.scaler:
            accelerator.scaler.load_state_dict(self.where.scaler)
        _set_random_state(store.tensors(newest, f"random-{accelerator.process_index}.safetensors"), accelerator.device)


def _accelerator(settings: Settings) -> accelerate.Accelerator:
    """An Accelerator with these settings; its shared state would keep those of an earlier training in this process."""
    precision: str = settings.precision
    only_cpu = settings.device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    state = accelerate.PartialState(cpu=only_cpu)
    if state.num_processes == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Launched as several without a GPU; accelerate would run each by itself unless told that CPUs are meant.
        only_cpu = True
        AcceleratorState._reset_state(reset_partial_state=True)
        state = accelerate.PartialState(cpu=True)
    cpu = state.device.type == "cpu"
    if precision == "auto":
        precision = "bf16" if _computes_bf16(cpu) else "fp32"
    if precision == "fp16" and cpu:
        raise ConfigError("precision 'fp16' needs a GPU; use 'bf16', 'fp32' or 'auto'")
    return accelerate.Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=only_cpu)


def _at_full_use(
    model: torch.nn.Module, lengths: NDArray[np.int32], accelerator: accelerate.Accelerator
) -> float | None:
    """Seconds that an epoch would take if the devices did nothing but the model's products; None if unknown."""
    if accelerator.device.type != "cuda":
        return None
    peak, work = peak_flops(torch.cuda.get_device_name(accelerator.device)), training_flops(model, lengths)
    return None if peak is None or work is None else work / (peak * accelerator.num_processes)


def place(settings: Settings) -> torch.device:
    """Where a training with these settings computes."""
    return torch.device(_accelerator(settings).device)


def _checkpointing(model: torch.nn.Module, way: str) -> Callable[..., None]:
    """transformers' switch, which has got another name."""
    names = (f"activation_checkpointing_{way}", f"gradient_checkpointing_{way}")
    return cast(Callable[..., None], next(getattr(model, name) for name in names if hasattr(model, name)))


def _computes_bf16(cpu: bool) -> bool:
    if not cpu:
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _tokens(student: TrainableStudent, examples: Corpus, dev: Iterable[Document] | None) -> NDArray[np.int64]:
    """The ids of all tokens that a training will meet, padding included."""
    ids = {int(getattr(getattr(getattr(student, "encoder", None), "tokenizer", None), "pad_token_id", None) or 0)}
    for example in itertools.chain(examples, student.encode(dev or [])):
        ids.update(example.input_ids.tolist())
    return np.array(sorted(ids))


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay: matrices have it, biases and norms (vectors) do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)

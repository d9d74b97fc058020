"""A step of the optimizers, and checkpoints, for the tuning of the demo's model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from demo_tuning import tuning_rate

log = logging.getLogger("demo")

SAVE_EVERY = 100


def descend(loss: torch.Tensor, optimizers: list[torch.optim.Optimizer], step: int, steps: int) -> float:
    """One step of optimizers whose groups say their top rate; only dense gradients are clipped."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group in groups:
        group["lr"] = group["top_rate"] * tuning_rate(step, steps)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(optimizers[0].param_groups[0]["params"], 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


class Kept:
    """A checkpoint of parts that have a `state_dict`, and of a running average where there is one."""

    def __init__(self, path: Path, parts: Mapping[str, Any]) -> None:
        self.path, self.parts, self.step, self.began = path, parts, 0, time.monotonic()

    def load(self, average: dict[str, torch.Tensor] | None = None) -> None:
        """Go on from the file, if it is there."""
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.step = state.pop("step")
            for name, value in state.pop("average").items():
                (average or {})[name].copy_(value)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])

    def save(self, step: int, steps: int, loss: float, average: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write the file now and then, in one piece."""
        if step % 25 == 0:
            log.info("%s step %d  loss %.3f  %.0f s", self.path.stem, step, loss, time.monotonic() - self.began)
        if step % SAVE_EVERY == 0 or step == steps:
            state = {name: part.state_dict() for name, part in self.parts.items()}
            temporary = self.path.with_suffix(".tmp")
            torch.save({**state, "average": dict(average or {}), "step": step}, temporary)
            temporary.replace(self.path)

"""The two models of a prediction: who forecasts, and who renders what was forecast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vid2vid.conditions import ConditionSchema, check_alike
from vid2vid.errors import UserError
from vid2vid.flow import FlowEstimator
from vid2vid.inference.accelerate import Running, accelerate
from vid2vid.inference.synthesize import LARGEST
from vid2vid.prediction.past import FRAMES
from vid2vid.prediction.rollout import Forecast
from vid2vid.types import Size
from vid2vid.zoo import Model, load_model

FORECAST = "forecast"
"""What ``model.network`` says of a network that makes conditions to come."""


@dataclass(frozen=True)
class Pair:
    """forecaster: None: there are baselines only. renderer: None: what is forecast is shown as it is, or the
    forecaster makes frames by itself. running: what renders."""

    forecaster: Model | None
    renderer: Model | None
    device: torch.device
    running: Running | None = None

    @classmethod
    def open(
        cls,
        forecaster: Model | Path | str | None,
        renderer: Model | Path | str | None,
        device: torch.device,
        precision: str = "auto",
        path: str = "auto",
    ) -> Pair:
        """Loads them, and checks that they go together.

        Raises:
            UserError: one is missing, damaged, or no such thing; they know different classes.
        """
        first = None if forecaster is None else open_forecaster(forecaster, device)
        if renderer is None and first is not None:
            renderer = first.shown_by
        if renderer is None:
            return cls(first, None, device)
        second = (renderer if isinstance(renderer, Model) else load_model(renderer, device)).to(device)
        name = "the renderer" if isinstance(renderer, Model) else str(renderer)
        if second.architecture.network == FORECAST:
            raise UserError(f"{name}: is a forecaster; give the renderer after it, then the clip")
        if first is not None:
            if first.schema.name == FRAMES:
                raise UserError(f"{name}: the forecaster makes frames by itself; leave the renderer out")
            check_alike(first.schema, second.schema, name)
        fast, running = accelerate(second, device, precision, path)
        return cls(first, fast, device, running)

    @property
    def schema(self) -> ConditionSchema | None:
        """Of what has to be observed beside frames, with objects where one of the two wants them."""
        wanted = [model.schema for model in (self.forecaster, self.renderer) if model is not None]
        beside = [schema for schema in wanted if schema.name != FRAMES]
        return next((schema for schema in beside if schema.instances), next(iter(beside), None))

    @property
    def shown(self) -> ConditionSchema | None:
        """Of the label maps, or pictures, that a future consists of beside frames; None: it has none."""
        model = self.renderer or self.forecaster
        return None if model is None or model.schema.name == FRAMES else model.schema

    def size(self, asked: Size | None) -> Size | None:
        """(width, height) of what is made: as asked for, else what the model was trained at."""
        if asked is not None and not 1 <= min(asked) <= max(asked) <= LARGEST:
            raise UserError(f"--size {asked[0]}x{asked[1]}: 1 to {LARGEST} pixels a side; choose another")
        model = self.renderer or self.forecaster
        return asked or (None if model is None else model.size)

    def forecast(self, size: Size, estimator: FlowEstimator) -> Forecast:
        """Futures of that size. There must be a forecaster."""
        assert self.forecaster is not None
        return Forecast(self.forecaster, self.renderer, size, self.device, estimator)


def open_forecaster(model: Model | Path | str, device: torch.device) -> Model:
    """Raises UserError for what is missing, damaged, or no forecaster."""
    found = (model if isinstance(model, Model) else load_model(model, device)).to(device)
    name = "the model" if isinstance(model, Model) else model
    if found.architecture.network != FORECAST:
        raise UserError(
            f"{name}: is no forecaster, which comes first; train one: vid2vid train --recipe forecast-tiny"
        )
    return found

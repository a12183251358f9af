"""Recipes: everything an experiment is made of.

A recipe is a file of ``vid2vid/recipes`` (by name), any YAML file (by path), or the ``config.yaml`` of a
run. Keys that are not given keep their defaults; an unknown key or a wrong value is refused by name.
``section.key=value`` words override what the file says.
"""

from vid2vid.config.faults import model_faults
from vid2vid.config.reading import load_recipe, read_settings, recipe_names
from vid2vid.config.settings import (
    DataConfig,
    DiscriminatorConfig,
    LossWeights,
    ModelConfig,
    Recipe,
    TrainConfig,
)

__all__ = [
    "DataConfig",
    "DiscriminatorConfig",
    "LossWeights",
    "ModelConfig",
    "Recipe",
    "TrainConfig",
    "load_recipe",
    "model_faults",
    "read_settings",
    "recipe_names",
]

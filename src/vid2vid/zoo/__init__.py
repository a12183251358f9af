"""Trained models as folders: written whole, checked before they are believed."""

from vid2vid.zoo.folder import Model, bundled, load_model, load_renderer, save_model
from vid2vid.zoo.importer import import_checkpoints
from vid2vid.zoo.info import info

__all__ = ["Model", "bundled", "import_checkpoints", "info", "load_model", "load_renderer", "save_model"]

"""Trained models as folders: written whole, checked before they are believed."""

from vid2vid.zoo.folder import Model, load_model, save_model

__all__ = ["Model", "load_model", "save_model"]

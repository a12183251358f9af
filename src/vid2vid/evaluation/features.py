"""Networks that turn pictures, or short runs of them, into features whose distributions can be compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.errors import UserError
from vid2vid.weights import build, find_weights, read_weights, weights_missing

_FRAMES = {"inception_v3": 1, "resnet50": 1, "r3d_18": 16, "mc3_18": 16, "r2plus1d_18": 16, "s3d": 16}
"""torchvision's networks that can be had, and the frames of a window. 16 is what the Kinetics ones saw in
training (S3D saw more, and takes no fewer than 14), and what FVD is defined on."""


class FeatureNetwork(Protocol):
    """Turns windows of frames into one row of features each.

    name: as reports show it. frames: of a window; 1: single pictures.
    """

    name: str
    frames: int

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """(N, frames, H, W, 3) uint8 RGB to (N, D) float64."""


def open_features(spec: str, device: torch.device) -> FeatureNetwork:
    """The feature network a user named.

    "inception_v3", "resnet50" (pictures), "r3d_18", "mc3_18", "r2plus1d_18", "s3d" (videos): torchvision's,
    with its weights from torch's cache; "NAME:FILE": with the weights in a file (.pth or .safetensors).
    "script:FILE", "script:FILE:FRAMES": a TorchScript network, for windows of FRAMES (16; 1: pictures).
    Such a file is a program that runs with your rights: only from people you trust. "videomae:PLACE": a
    VideoMAE in a folder or on the Hugging Face hub (which transformers then downloads and keeps).

    Only the last of them ever downloads anything. Raises UserError for an unknown name and for weights that
    are not at hand, damaged or foreign.
    """
    kind, _, place = spec.partition(":")
    if kind in _FRAMES:
        path = Path(place) if place else find_weights(kind)
        if path is None:
            raise weights_missing(kind, kind)
        return TorchvisionFeatures(kind, read_weights(path, f"torchvision's weights of {kind}"), device, path)
    if kind == "script" and place:
        file, _, number = place.rpartition(":")
        if file and number.isdigit() and int(number) > 0:
            return ScriptFeatures(Path(file), int(number), device)
        return ScriptFeatures(Path(place), 16, device)
    if kind == "videomae" and place:
        return VideoMAEFeatures(place, device)
    known = ", ".join(_FRAMES)
    raise UserError(
        f"features {spec!r}: unknown; use {known} (each also as NAME:FILE), script:FILE[:FRAMES] or "
        "videomae:FOLDER_OR_HUB_ID"
    )


class TorchvisionFeatures:
    """A classifier of torchvision's, looked into before its last layer: the pooled features, 2048 of
    Inception v3 and ResNet-50, 512 of the three 18-layer video ResNets, 1024 of S3D.

    Pictures are scaled to [0, 1] and resized bilinearly, with antialiasing, to the size the network was
    trained at (299 for Inception, 224 for ResNet-50 and S3D, 112 for the video ResNets; square, whatever the
    shape of the picture), then normalised by the mean and standard deviation of torchvision's own transforms
    (ImageNet's or Kinetics-400's). Unlike those nothing is cropped, as in published FID and FVD: a cropped
    border would never be judged.

    Inception v3 is torchvision's training of it, not the one of published FID figures.

    state: the weights, named as torchvision names them. source: where they are from, for messages.
    """

    def __init__(
        self, kind: str, state: dict[str, Tensor], device: torch.device, source: Path | str = "state"
    ) -> None:
        self.name = kind if source in ("state", find_weights(kind)) else f"{kind} ({Path(source).name})"
        self.frames = _FRAMES[kind]
        self._device = device
        self._network = _without_classifier(kind, build(lambda: _classifier(kind), state, source)).to(device)
        self._prepare = _torchvision_preparation(kind)

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """See :class:`FeatureNetwork`."""
        x = self._prepare(_to_tensor(windows, self.frames, self._device))
        with _full_precision():
            return _rows(self._network(x[:, :, 0] if self.frames == 1 else x), self.name)


class ScriptFeatures:
    """A network in a TorchScript file, which is how the I3D of FVD, 3D ResNeXts and the Inception of
    published FID figures are passed around. The file is a program: it runs with your rights.

    It gets (N, 3, frames, H, W) float32 in [-1, 1] ((N, 3, H, W) where frames is 1), RGB, at the size scored,
    and returns (N, D), or more axes, which are averaged.

    Files whose forward takes `return_features` follow another convention, that of the public
    `i3d_torchscript.pt` (Unterthiner et al. 2018's I3D, trained on Kinetics-400, as StyleGAN-V ported it) and
    of `inception-2015-12-05.pt`: they get 0 to 255 and `return_features=True`, and also `rescale=True` and
    `resize=True` where they take those, upon which they scale to [-1, 1] and resize to 224 themselves. This
    relies on what its author says in issue 4 of universome/fvd-comparison and issue 41 of
    universome/stylegan-v. Only such files make figures that can be set beside published ones.
    """

    def __init__(self, path: Path, frames: int, device: torch.device) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such file; give a network saved as TorchScript")
        try:
            self._network = torch.jit.load(str(path), map_location=device).eval()
            takes = {argument.name for argument in self._network.forward.schema.arguments}
        except Exception as error:  # the parser raises anything at damaged bytes
            reason = " ".join(str(error).split())[:100]
            raise UserError(
                f"{path}: not a TorchScript network ({reason}); save one with torch.jit"
            ) from error
        self.name, self.frames = path.name, frames
        self.rescales = "return_features" in takes
        wanted = ("rescale", "resize", "return_features")
        self._options = {name: True for name in wanted if self.rescales and name in takes}
        self._device, self._path = device, path

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """See :class:`FeatureNetwork`."""
        x = _to_tensor(windows, self.frames, self._device)
        x = x if self.rescales else x / 127.5 - 1
        try:
            with _full_precision():
                found = self._network(x[:, :, 0] if self.frames == 1 else x, **self._options)
        except Exception as error:  # whatever a stranger's program raises
            reason = " ".join(str(error).split())[-120:]
            raise UserError(
                f"{self._path}: cannot take {tuple(x.shape[1:])} ({reason}); give its own number of frames "
                "as script:FILE:FRAMES, or score at another size"
            ) from error
        return _rows(found, self.name)


class VideoMAEFeatures:
    """VideoMAE (Tong et al. 2022), trained without labels and so less blind to motion than classifiers (Ge et
    al. 2024): the mean of the last hidden state over all its patches in space and time.

    Frames are resized bilinearly, with antialiasing, to the size it was trained at (224, square, nothing
    cropped) and normalised by ImageNet's mean and standard deviation.
    """

    def __init__(self, place: str, device: torch.device) -> None:
        try:
            from transformers import VideoMAEModel
        except ImportError as error:
            raise UserError(
                f"videomae:{place}: needs a package that is not installed; pip install transformers"
            ) from error
        try:
            network = VideoMAEModel.from_pretrained(place)
        except Exception as error:  # the hub, the network, the file: each has errors of its own
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"videomae:{place}: cannot be opened ({reason}); name a folder or a model of the hub"
            ) from error
        self._network = cast(nn.Module, network).eval().requires_grad_(False).to(device)
        self.name = f"VideoMAE ({Path(place).name})"
        self.frames = int(network.config.num_frames)
        self._side = int(network.config.image_size)
        self._device = device

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """See :class:`FeatureNetwork`."""
        x = _to_tensor(windows, self.frames, self._device)
        x = _resized_and_normalised(x, [self._side] * 2, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        with _full_precision():
            return _rows(self._network(x.transpose(1, 2)).last_hidden_state.mean(1), self.name)


def remarks(network: FeatureNetwork) -> list[str]:
    """What a reader has to know about the features before comparing figures made with them."""
    if isinstance(network, TorchvisionFeatures):
        return [
            f"{network.name} is torchvision's network, not that of published FID and FVD figures: compare "
            "only within this report and with others that used the same file."
        ]
    if isinstance(network, ScriptFeatures) and not network.rescales:
        return [
            f"{network.name} was given pictures in [-1, 1] at the size scored; make sure that it wants that."
        ]
    if isinstance(network, VideoMAEFeatures):
        return [f"{network.name} is not the network of published FVD figures, most of which used I3D."]
    return []


def _classifier(kind: str) -> nn.Module:
    from torchvision.models import get_model

    if kind == "inception_v3":
        # As its published weights want it: normalised twice, and with the second classifier of training.
        return cast(nn.Module, get_model(kind, transform_input=True, aux_logits=True, init_weights=False))
    return cast(nn.Module, get_model(kind))


def _without_classifier(kind: str, network: nn.Module) -> nn.Module:
    if kind == "s3d":
        return nn.Sequential(*list(network.children())[:-1])
    network.fc = nn.Identity()
    return network


def _torchvision_preparation(kind: str) -> Callable[[Tensor], Tensor]:
    from torchvision.models import get_model_weights

    transforms = get_model_weights(kind).DEFAULT.transforms()
    size = (transforms.crop_size * 2)[:2]
    return lambda x: _resized_and_normalised(x, size, transforms.mean, transforms.std)


def _to_tensor(windows: np.ndarray, frames: int, device: torch.device) -> Tensor:
    """(N, frames, H, W, 3) uint8 to (N, 3, frames, H, W) float32, 0 to 255."""
    if windows.ndim != 5 or windows.dtype != np.uint8 or windows.shape[1] != frames or windows.shape[4] != 3:
        raise ValueError(f"expected (N, {frames}, H, W, 3) uint8, not {windows.shape} {windows.dtype}")
    return torch.tensor(windows, device=device).permute(0, 4, 1, 2, 3).float()


def _resized_and_normalised(x: Tensor, size: list[int], mean: list[float], std: list[float]) -> Tensor:
    """(N, 3, T, H, W), 0 to 255, as a network wants it, by the picture."""
    count, frames = x.shape[0], x.shape[2]
    pictures = F.interpolate(x.transpose(1, 2).flatten(0, 1), size, mode="bilinear", antialias=True) / 255
    pictures = (pictures - x.new_tensor(mean).view(3, 1, 1)) / x.new_tensor(std).view(3, 1, 1)
    return pictures.unflatten(0, (count, frames)).transpose(1, 2)


def _rows(found: Tensor, name: str) -> np.ndarray:
    """(N, D) float64, whatever axes of space and time the network left."""
    if not isinstance(found, Tensor) or found.ndim < 2:
        raise UserError(f"features {name}: the network returns no rows of features; use another")
    rows = found.double().flatten(2).mean(2) if found.ndim > 2 else found.double()
    if not torch.isfinite(rows).all():
        raise UserError(f"features {name}: not finite; the weights are damaged, or not for such pictures")
    return rows.cpu().numpy()


def _full_precision() -> AbstractContextManager[None]:
    """Tensor cores would round to three digits: a figure should not depend on the machine."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)

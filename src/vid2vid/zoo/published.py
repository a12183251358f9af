"""The published checkpoints of 2018: how they are read, and what network their tensors belong to.

Their networks are plain sequences of layers, so a tensor's name holds the number of its layer. ``layout``
counts those numbers; laid beside our own convolutions, in order, it says which tensor goes where.

Their files hold pickles: lists of steps, of which a state dict needs two dozen. Those are followed here; what
they want called is noted, not called.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from vid2vid.config import ModelConfig
from vid2vid.errors import UserError
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.generator import Generator
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer

Published = Mapping[str, Tensor]

_IGNORED = (".running_mean", ".running_var", ".num_batches_tracked")
"""Statistics the published norms carried along and did not use."""
_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_STEPS = 100_000  # of a pickle; the largest published network takes a tenth
_DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch LongStorage": torch.int64,
}
_DICT, _PARAMETER = "collections OrderedDict", "torch._utils _rebuild_parameter"
_TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")


class _Foreign(Exception):
    """Why a file is refused, in a few words."""


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file, read as data: nothing in it is executed.

    Raises:
        UserError: not a whole file of plain, finite tensors by name.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _Foreign("it is no file")
        with path.open("rb") as file:
            read = _read_archive if file.read(4) == b"PK\3\4" else _read_old
            file.seek(0)
            tensors = read(file, path.stat().st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    except Exception as error:  # whatever a stranger's file can make the reader stumble over
        reason = error if isinstance(error, _Foreign) else "it is damaged, or no state dict"
        raise UserError(
            f"{path}: not a file of plain tensors ({reason}); nothing in it was run: get the original"
        ) from error
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds values that are not finite; get the original")
    return {name: value for name, value in tensors.items() if not name.endswith(_IGNORED)}


def _read_old(file: IO[bytes], room: int) -> dict[str, Tensor]:
    """As torch wrote in 2018: pickles, then the numbers, row by row."""
    if _unpickle(file) != _MAGIC or _unpickle(file) != 1001:
        raise _Foreign("it is no file of torch")
    _unpickle(file)  # the machine it was written on
    views = _views(_unpickle(file), room)
    rows = {view.key: view for view in views.values()}
    numbers = {}
    for key in _unpickle(file):
        row = rows.get(key) if isinstance(key, str) else None
        if row is None or struct.unpack("<q", file.read(8)) != (row.length,):
            raise _Foreign("its numbers belong to no tensor")
        numbers[key] = bytearray(file.read(row.length * row.dtype.itemsize))
    return {name: view.tensor(numbers[view.key]) for name, view in views.items()}


def _read_archive(file: IO[bytes], room: int) -> dict[str, Tensor]:
    """As torch writes today: a zip archive, never a compressed one, which could grow to any size."""
    with zipfile.ZipFile(file) as archive:
        items = archive.infolist()
        if any(item.compress_type for item in items) or sum(item.file_size for item in items) > room:
            raise _Foreign("an archive that is compressed, or claims to be larger than the file")
        pickles = [item.filename for item in items if item.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _Foreign("an archive, and not torch's")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise _Foreign("its numbers have the bytes in another order")
        views = _views(_unpickle(archive.read(pickles[0])), room)
        keys = {view.key for view in views.values()}
        numbers = {key: bytearray(archive.read(f"{folder}data/{key}")) for key in keys}
    return {name: view.tensor(numbers[view.key]) for name, view in views.items()}


@dataclass(frozen=True)
class _View:
    """A tensor: from ``offset`` on in a row of so many numbers."""

    key: str
    dtype: torch.dtype
    length: int
    offset: int
    shape: tuple[int, ...]

    def tensor(self, row: bytearray) -> Tensor:
        start, count = self.offset * self.dtype.itemsize, math.prod(self.shape)
        return torch.frombuffer(row, dtype=self.dtype, count=count, offset=start).view(self.shape)


def _views(state: Any, room: int) -> dict[str, _View]:
    """The tensors a pickle describes, if those are all it describes and the file has room for them."""
    views: dict[str, _View] = {}
    for name, value in state.items() if isinstance(state, dict) else state[1][0]:  # as of Python 2
        if not re.fullmatch(r"[\w.]{1,200}", name):
            raise _Foreign("not everything in it is named as a tensor")
        match value[1] if value[0] in _TENSORS else value[1][0][1]:  # a parameter holds a tensor
            case (("storage", str(kind), str(key), _, int(length), *rest), int(offset), shape, stride, *_):
                plain = kind in _DTYPES and rest in ([], [None]) and length >= 0 and len(shape) <= 4
                if plain and torch.empty_strided(shape, stride, device="meta").is_contiguous():
                    views[name] = _View(key, _DTYPES[kind], length, offset, shape)
        if name not in views:
            raise _Foreign(f"{name} is no plain tensor")
    rows = {view.key: view.length * view.dtype.itemsize for view in views.values()}
    seen = (view.dtype.itemsize * math.prod(view.shape) for view in views.values())
    if max(sum(rows.values()), sum(seen)) > room:
        raise _Foreign("it claims to be larger than the file")
    return views


def _unpickle(file: IO[bytes] | bytes) -> Any:
    """What a pickle describes, in plain data; what it wants called is a tuple of a name and arguments."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def take(start: int) -> list[Any]:
        taken = stack[start:]
        del stack[start:]
        return taken

    for step, (opcode, value, _) in enumerate(pickletools.genops(file)):
        if step == _MOST_STEPS:
            raise _Foreign("its pickle is too long")
        match opcode.name:
            case "PROTO" | "STOP" | "BINPERSID":  # a row of numbers is the tuple that describes it
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "SHORT_BINSTRING":
                stack.append(value)
            case "NONE" | "NEWTRUE" | "NEWFALSE":  # no flag counts
                stack.append(None)
            case "GLOBAL":
                if value not in (_DICT, _PARAMETER, *_TENSORS, *_DTYPES):
                    raise _Foreign(f"it asks for {ascii(value)[1:-1].replace(' ', '.'):.80}")
                stack.append(value)
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append({"T": (), "L": [], "D": {}}[opcode.name[6]])
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(take(marks.pop())))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(take(-int(opcode.name[5]))))
            case "APPEND" | "APPENDS":
                items = take(marks.pop() if opcode.name == "APPENDS" else -1)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = take(marks.pop() if opcode.name == "SETITEMS" else -2)
                if not all(isinstance(key, str) for key in items[::2]):
                    raise _Foreign("not everything in it is named")
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "REDUCE":
                what, arguments = take(-2)
                stack.append({} if what == _DICT and arguments == () else (what, arguments))
            case "BUILD":
                stack.pop()  # versions of the layers
            case name:
                raise _Foreign(f"no state dict takes the step {name}")
    return stack.pop()


@dataclass(frozen=True)
class Part:
    """A sequence of published layers, and the module of ours that has the same convolutions."""

    ours: str
    theirs: str
    layers: tuple[str, ...]
    """stem and head: padded convolutions; down, up: strided ones; block: a residual block."""


_NUMBERS = {"stem": 4, "head": 3, "down": 3, "up": 3, "block": 1}
_CONVOLUTIONS = {
    "stem": ("1",),
    "head": ("1",),
    "down": ("0",),
    "up": ("0",),
    "block": ("conv_block.1", "conv_block.5"),
}


def layout(part: Part) -> Iterator[str]:
    """The published names of a part's convolutions, in order."""
    number = 0
    for layer in part.layers:
        for place in _CONVOLUTIONS[layer]:
            inner, _, rest = place.rpartition(".")
            yield (f"{part.theirs}.{number}.{place}" if inner else f"{part.theirs}.{number + int(rest)}")
        number += _NUMBERS[layer]


def generator_parts(network: Generator, config: ModelConfig, scale: int) -> list[Part]:
    """What a generator of one scale is made of (``composite`` and ``compositeLocal``)."""
    if scale:
        down: tuple[str, ...] = ("stem", "down")
        up, early, late = ("block",) * config.enhancer_blocks + ("up",), 0, 0
        drawn = up
    else:
        down, up = ("stem",) + ("down",) * config.downs, ("up",) * config.downs
        late = config.blocks // 2
        early, drawn = config.blocks - late, up
    half = ("block",) * late
    parts = [
        Part("encode_conditions", "model_down_seg", down + ("block",) * early),
        Part("encode_frames", "model_down_img", down + ("block",) * early),
        Part("decode_image.blocks", "model_res_img", half),
        Part("decode_image" if scale else "decode_image.doublings", "model_up_img", up),
        Part("image_head", "model_final_img", ("head",)),
    ]
    if network.has_flow:
        parts += [
            Part("decode_flow.blocks", "model_res_flow", half),
            Part("decode_flow" if scale else "decode_flow.doublings", "model_up_flow", up),
        ]
    if network.has_foreground:
        parts += [
            Part("encode_foreground", "indv_down", down),
            Part("decode_foreground.blocks", "indv_res", () if scale else ("block",) * config.blocks),
            Part("decode_foreground" if scale else "decode_foreground.doublings", "indv_up", drawn),
            Part("foreground_head", "indv_final", ("head",)),
        ]
    return [part for part in parts if part.layers]


def image_parts(config: ModelConfig) -> list[Part]:
    """What an image generator is made of (``global``, ``local``, each with or without features)."""
    down, up = ("stem",) + ("down",) * config.downs, ("up",) * config.downs
    blocks, few = ("block",) * config.blocks, ("block",) * config.enhancer_blocks
    local = config.scales == 2
    if config.styles:
        parts = [
            Part("network.encode", "model_downsample", down),
            Part("network.blocks", "model_resnet", blocks),
            Part("network.decode", "model_upsample", up),
        ]
        if local:
            parts += [
                Part("enhancer.encode", "model1_1", ("stem", "down")),
                Part("enhancer.blocks enhancer.decode", "model1_2", (*few, "up")),
            ]
        return [*parts, Part("head", "model_final" if local else "model_upsample_conv", ("head",))]
    whole = down + blocks + up
    if not local:
        return [Part("network head", "model", (*whole, "head"))]
    return [
        Part("network", "model", whole),
        Part("enhancer.encode", "model1_1", ("stem", "down")),
        Part("enhancer.blocks enhancer.decode head", "model1_2", (*few, "up", "head")),
    ]


class Filling:
    """Takes published tensors one by one; what is asked for must be there, and in the end nothing be left.

    Raises:
        UserError: the first fault, from any of the methods.
    """

    def __init__(self, published: Published, where: Path) -> None:
        self.where = where
        self._left = dict(published)

    def take(self, name: str, like: Tensor) -> Tensor:
        if name not in self._left:
            raise UserError(
                f"{self.where}: tensor {name} is missing; the file is damaged or of another network"
            )
        value = self._left.pop(name)
        if value.shape != like.shape:
            found, wanted = tuple(value.shape), tuple(like.shape)
            raise UserError(f"{self.where}: tensor {name} is {found}, not {wanted}; get the original")
        if not value.is_floating_point():
            raise UserError(f"{self.where}: tensor {name} is {value.dtype}, no weights; get the original")
        return value.to(torch.float32)

    def finish(self) -> None:
        for name in self._left:
            raise UserError(
                f"{self.where}: tensor {name} belongs to no part of this network; get the original"
            )

    def parts(self, module: nn.Module, parts: Iterable[Part]) -> dict[str, Tensor]:
        """Tensors under our names, for a module whose convolutions the parts list."""
        tensors = {}
        named = dict(module.named_modules())
        for part in parts:
            convolutions = [
                (f"{path}.{inner}".rstrip("."), found)
                for path in part.ours.split()
                for inner, found in named[path].named_modules()
                if isinstance(found, nn.Conv2d | nn.ConvTranspose2d)
            ]
            for (ours, convolution), theirs in zip(convolutions, layout(part), strict=True):
                for kind in ("weight", "bias"):
                    like = getattr(convolution, kind)
                    tensors[f"{ours}.{kind}"] = self.take(f"{theirs}.{kind}", like)
        return tensors


def fill_generator(
    network: Generator, config: ModelConfig, scale: int, filling: Filling
) -> dict[str, Tensor]:
    """The tensors of one scale; flow and mask, two heads there, are one here."""
    tensors = filling.parts(network, generator_parts(network, config, scale))
    if network.has_flow:
        for kind in ("weight", "bias"):
            both = getattr(network.flow_mask_head, kind)
            flow = filling.take(f"model_final_flow.1.{kind}", both[:2])
            mask = filling.take(f"model_final_w.1.{kind}", both[2:])
            tensors[f"flow_mask_head.{kind}"] = torch.cat([flow, mask])
    filling.finish()
    return tensors


def fill_renderer(
    renderer: Renderer, config: ModelConfig, scales: Iterable[tuple[Path, Published]]
) -> dict[str, Tensor]:
    """``latest_net_G0.pth`` and the finer ones, in order."""
    tensors: dict[str, Tensor] = {}
    for scale, (where, published) in enumerate(scales):
        prefix = f"enhancers.{scale - 1}" if scale else "coarsest"
        filled = fill_generator(renderer.networks[scale], config, scale, Filling(published, where))
        tensors |= {f"{prefix}.{name}": value for name, value in filled.items()}
    return tensors


def fill_image_renderer(
    network: ImageRenderer, config: ModelConfig, published: Published, where: Path
) -> dict[str, Tensor]:
    """``latest_net_G.pth``."""
    filling = Filling(published, where)
    tensors = filling.parts(network, image_parts(config))
    filling.finish()
    return tensors


def fill_encoder(network: FeatureEncoder, downs: int, published: Published, where: Path) -> dict[str, Tensor]:
    """``latest_net_E.pth``."""
    filling = Filling(published, where)
    layers = ("stem", *("down",) * downs, *("up",) * downs, "head")
    tensors = filling.parts(network, [Part("network head", "model", layers)])
    filling.finish()
    return tensors


def fill_discriminator(
    network: MultiScaleDiscriminator, published: Published, where: Path
) -> dict[str, Tensor]:
    """``latest_net_D.pth`` and its like: their full resolution has the highest number, ours comes first."""
    filling = Filling(published, where)
    tensors = {}
    last = len(network.scales) - 1
    for i, scale in enumerate(network.scales):
        for j, block in enumerate(scale.blocks):  # type: ignore[arg-type]
            for kind in ("weight", "bias"):
                name = f"scales.{i}.blocks.{j}.0.{kind}"
                tensors[name] = filling.take(f"scale{last - i}_layer{j}.0.{kind}", getattr(block[0], kind))
    filling.finish()
    return tensors

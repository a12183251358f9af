"""Everything an experiment is made of, as frozen dataclasses: the keys of a recipe, and their defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how it is varied."""

    size: tuple[int, int] = (512, 256)
    """Width and height frames are resized to."""
    condition: str = "labels"
    """Folder beside the frames: ``labels`` are class maps, others pictures; or a drawing of landmarks."""
    target: str = "frames"
    """The folder of the frames to learn."""
    instances: bool = True
    """Add a channel of instance edges to label maps."""
    flow: str = "dis"
    """Reference flow: dis, raft, raft:FILE, auto or exact (flow files of the dataset)."""
    sequence: int = 8
    """Frames of a training sequence; of the longest, where they grow."""
    first_sequence: int = 0
    """Frames of the first sequences, which then double in length up to ``sequence``; 0: all have one."""
    longer_every: int = 0
    """Sequences (batches of them) after which the length doubles; 0 where all have one."""
    batch: int = 1
    """Sequences a step, in each process."""
    flip: float = 0.5
    """Probability of a mirrored sequence; 0 where left and right mean something (poses)."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of random enlargement; the frame is then cropped back to ``size``."""
    crop: tuple[int, int] | None = None
    """Width and height of a random part that training sees, for frames too large to train on whole."""
    jitter: float = 0.0
    """Range of random brightness and contrast changes of the frames."""
    recolour: float = 0.0
    """Range of random colour changes, class by class, in half of the sequences: looks to tell apart."""
    drop: float = 0.0
    """Probability of a limb, a hand or a part of the face to be left out of a drawing of landmarks."""
    wobble: float = 0.0
    """How far landmarks waver before they are drawn, as a share of the size of the person or face."""
    workers: int = 1
    """Processes that read ahead; 0 reads in the training process."""


@dataclass(frozen=True)
class ModelConfig:
    """The generator."""

    network: Literal["video", "fast", "image", "forecast"] = "video"
    """The sequential generator, its fast relative, the image generator of pix2pixHD, which makes first
    frames, or a forecaster, which goes on with the conditions themselves. A fast network looks at history,
    width and downs (at and below half the size), blocks, use_flow, foreground and the styles alone; an image
    network at scales (1 or 2), width, downs, blocks, enhancer_blocks and the styles; a forecaster at all but
    scales, enhancer_blocks, foreground, given_flow, cubic_warp and the styles."""
    history: int = 2
    """Past frames and conditions seen; 0 makes a frame-wise image model."""
    scales: int = 1
    """Spatial scales: the coarsest network, and an enhancer for each doubling of its size."""
    width: int = 64
    """Channels of the coarsest network at its full size; each enhancer has half of those below."""
    downs: int = 3
    blocks: int = 9
    enhancer_blocks: int = 3
    use_flow: bool = True
    """Predict flow and warp the last frame."""
    given_flow: bool = False
    """Warp by the real clip's reference flow, and predict the mask alone: the paper's baseline COVST."""
    foreground: bool = True
    """A network of their own for the foreground classes, where there are any."""
    kernel: int = 7
    """Size of the first and last convolutions."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Transposed convolutions as published, or resizing before a convolution: no checkerboards."""
    skips: bool = False
    """Connect encoders and decoders at every size: finer detail from little training; not in the paper."""
    cubic_warp: bool = False
    """Warp by splines, not bilinearly: what is warped frame after frame stays sharp; not in the paper."""
    noise: int = 8
    """Of a forecaster: numbers that tell one future from another."""
    styles: int = 0
    """Numbers that say what an object looks like, learnt by an encoder; 0: one look only."""
    style_width: int = 16
    style_downs: int = 4
    """The encoder: channels at full size, and halvings."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The judges."""

    scales: int = 2
    """Resolutions each of them looks at."""
    width: int = 64
    layers: int = 3
    spectral: bool = False
    """Spectral normalisation."""
    temporal_scales: int = 2
    """Video discriminators; 0 trains without."""
    frames: int = 3
    """K, frames a video discriminator sees."""
    sparse: bool = False
    """Sparse temporal groups (see ``losses.temporal``)."""
    face: Literal["none", "parts", "colours"] = "none"
    """A discriminator more, for the faces of people: told by DensePose's part channel or its colours."""


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts. The first seven are the paper's, the next three help small data."""

    gan: float = 1.0
    video_gan: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    """VGG-19; off, and said once, where its weights are not at hand."""
    flow: float = 10.0
    """Predicted flow against the reference, and the real last frame warped by it against the real frame."""
    temporal_warp: float = 10.0
    """The output against the last output warped by the reference flow."""
    mask: float = 1.0
    """Pull of the mask towards the warp where the flow is confident; where first frames are self-made, and
    of a forecaster."""
    charbonnier: float = 0.0
    contrast: float = 0.0
    """As much fine detail as there should be, wherever it lies: pixel distances alone end in a blur."""
    ssim: float = 0.0
    cross_entropy: float = 0.0
    """Of label maps, which a forecaster makes: in the place of what compares pictures."""


# fmt: off
BestBy = Literal[
    "psnr", "ssim", "ms_ssim", "warping_error", "flow_difference", "flicker", "gradient_energy", "sharpness",
    "edge_f1",
]
# fmt: on


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation."""

    steps: int = 20000
    """Optimiser steps in all."""
    chunk: int = 1
    """Frames per step; a sequence is consumed in chunks, the last frames carried over."""
    backprop: int = 1
    """Frames gradients reach back within a chunk; the most, where that grows."""
    first_backprop: int = 0
    """Frames they reach back at first; doubled whenever sequences double, up to ``backprop``. 0, or where
    sequences do not grow: ``backprop`` from the start."""
    self_made_first: float = 1.0
    """Share of sequences that start from nothing; the others are given their first frames."""
    lr: float = 2e-4
    discriminator_lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    decay_from: float = 0.5
    """Share of the steps after which the learning rate falls linearly to zero."""
    finest_alone: float = 0.0
    """Share of the steps, from the first, in which only the finest of several scales is trained."""
    rollout: int = 0
    """Most frames a sequence runs on by itself, unlearnt, before the frames that are: against drift. Half of
    the sequences begin at once, the others after 1 to so many frames, where the clip is long enough."""
    history_noise: float = 0.0
    """Strength of grain and of colour shifts added to frames as they become history, in which frames range
    from -1 to 1: against drift."""
    futures: int = 0
    """Of a forecaster: in half of the steps so many futures are drawn, and the one that comes nearest to the
    real one is learnt; else, and with 0 always, the most likely one is."""
    joint: bool = False
    """Of a forecaster: it learns together with a renderer of the same conditions, by frames too."""
    clip: float = 0.0
    """Longest gradient of either side, as a norm over all its weights; longer ones are shortened. 0: any."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the convolutions; losses, weights and what is remembered are float32."""
    compile: bool = False
    """Compile the networks (torch.compile): minutes at first, then faster steps; needs a C++ compiler."""
    checkpointing: bool = False
    """Compute frames again where gradients need them, rather than keep all activations of a chunk."""
    ema: float = 0.0
    """Decay of the averaged generator that samples and results use; 0 keeps the last weights."""
    seed: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    """Newest checkpoints kept, beside the best where there is a validation."""
    best: BestBy = "ms_ssim"
    """The metric of the validation by which the best checkpoint is kept."""
    sample_every: int = 500
    """Steps between sample videos."""


@dataclass(frozen=True)
class Recipe:
    """One experiment."""

    name: str = "unnamed"
    about: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_yaml(self) -> str:
        """The recipe as a file that ``load_recipe`` reads back to an equal one."""
        written = yaml.safe_dump(plain(dataclasses.asdict(self)), sort_keys=False)
        return str(written)


def plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value

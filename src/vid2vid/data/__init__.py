"""Datasets: clips on disk, sequences for training, the dataset doctor, the synthetic city."""

from vid2vid.data.augment import Augmentation
from vid2vid.data.dataset import Clip, ClipFrames, Dataset
from vid2vid.data.doctor import check_dataset
from vid2vid.data.findings import ClassShare, Finding, Report
from vid2vid.data.sampling import sequences

__all__ = [
    "Augmentation",
    "ClassShare",
    "Clip",
    "ClipFrames",
    "Dataset",
    "Finding",
    "Report",
    "check_dataset",
    "sequences",
]

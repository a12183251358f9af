"""``vid2vid prepare``."""

from __future__ import annotations

from fractions import Fraction
from functools import partial as partially
from pathlib import Path


def prepare(
    sources: list[str],
    *,
    out: Path | None = None,
    annotate: list[str] | None = None,
    classes: str | None = None,
    workers: int = 0,
    size: str | None = None,
    fps: Fraction | None = None,
    start: float | None = None,
    end: float | None = None,
    crop: str | None = None,
    smooth: bool = False,
    frames: int | None = None,
    seed: int = 0,
    whole: bool = False,
    keep_going: bool = False,
    shards: bool = False,
    shard_size: int = 256,
) -> None:
    """Turn raw footage into a dataset: a folder of clips, a clip per shot.

    A clip folder brings its conditions along (labels, instances, pictures, landmarks). The same command
    goes on where it was interrupted.

    --annotate draws the conditions from the frames, into a folder of that name beside them: edges (Canny,
    white on black; edges:median for thresholds from the median grey) and sketch (soft grey lines on white).
    face and pose find points by MediaPipe (pip install 'vid2vid[annotate]'; its model is downloaded once into
    ~/.cache/vid2vid, or named as face:FILE) and write face478.json and pose33.json, from which training draws
    data.condition=face_sketch, face (as published, 15 channels), pose or openpose.
    labels:FOLDER or labels:ID writes labels (class ids), labels.yaml and, from a network that
    finds objects, instances: by SegFormer, Mask2Former, OneFormer and their kin through transformers (pip
    install 'vid2vid[annotate]'), from a folder that save_pretrained wrote or by an id of the hub, from where
    transformers then fetches it. depth:NETWORK (DPT, Depth Anything and their kin; near is bright) and
    mask:NETWORK (people white on black, by a network as for labels) write pictures in the same way.
    Conditions are drawn at --size: best what the recipe trains at, for a driver's are drawn at that. Without
    --out it adds them to clips that are there.

    --shards packs the clips into tar files (WebDataset's) and an index.json, which vid2vid train reads as it
    reads a folder, from a disk or from far away (https://, s3://, gs://). Clips and datasets are packed as
    they are if nothing is to change in them.

    Args:
        sources (SOURCE): videos, folders of pictures, clip folders; city or city:SEED for the synthetic city
        out (DATASET): the dataset's folder (default: none is made, --annotate adds to the sources, which are
            clips or datasets)
        annotate (NAME): draw these conditions: edges, sketch, face, pose, labels:NETWORK, depth:NETWORK,
            mask:NETWORK; several: edges,pose
        classes (FILE|cityscapes): a labels.yaml, or Cityscapes' label ids: what label maps mean that come
            without a list; and the classes of labels:NETWORK, mapped by name: what the list does not know
            becomes its first ignored class (default: those of Cityscapes)
        workers (N): processes that draw; 0 draws without others
        size (WxH): resize, after the crop; one of them -1 keeps the aspect: --size=-1x256 (default: as it is)
        fps (RATE): frames per second, such as 15 or 30000/1001: at each tick the nearest frame (default: all)
        start (SECONDS): begin here in each source
        end (SECONDS): end here in each source
        crop (X,Y,W,H|face): take this box of the picture, in pixels of the source; or the square around the
            face, the same for all frames of a shot
        smooth: take the trembling out of points that are found, and fill gaps of up to 5 frames
        frames (N): at most so many frames of each source; of the city as many
        seed (N): the city's seed
        whole: do not split at scene cuts
        keep_going: leave out sources that cannot be read, take the readable beginning of damaged videos, and
            say so; the exit code is 2 only if no clip was made
        shards: write shards to --out instead of folders
        shard_size (MB): megabytes in a shard

    Example:
        vid2vid prepare drive.mp4 --out data/drive --size 512x256 --fps 15 --start 3 --end 30
        vid2vid prepare data/drive --annotate edges,sketch --workers 4
        vid2vid prepare me.mp4 --out data/me --annotate face --crop face --size 256x256 --smooth
        vid2vid prepare data/drive --annotate labels:models/segformer
        vid2vid prepare footage/*.mp4 --out data/all --keep-going
        vid2vid prepare data/drive --out data/drive-shards --shards
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.data.prepare import prepare as make_clips
    from vid2vid.data.shards.pack import prepare_shards

    run = partially(prepare_shards, megabytes=shard_size) if shards else make_clips
    with Bar("prepare", "frames") as bar:
        clips = run(
            sources,
            out,
            annotate=annotate or (),
            classes=classes,
            workers=workers,
            size=size,
            fps=fps,
            start=start,
            end=end,
            crop=crop,
            smooth=smooth,
            split_cuts=not whole,
            frames=frames,
            seed=seed,
            keep_going=keep_going,
            warn=lambda line: bar.say(f"vid2vid prepare: {' '.join(line.split())}"),
            progress=bar,
        )
    for clip in clips:
        print(clip)

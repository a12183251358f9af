"""``vid2vid evaluate``."""

from __future__ import annotations

from pathlib import Path


def evaluate(
    real: Path,
    fakes: list[str],
    *,
    out: Path,
    size: tuple[int, int] | None = None,
    frames: str | None = None,
    given: int = 0,
    controls: bool = False,
    styles: bool = False,
    protocol: str | None = None,
    flow: str = "dis",
    lpips: str = "auto",
    features: list[str] | None = None,
    stride: int | None = None,
    segmenter: str | None = None,
    fit_segmenter: Path | None = None,
    fit_frames: str | None = None,
    window: int = 100,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Measure synthesised clips against real ones: figures with intervals, plots, videos side by side.

    A clip is a video, a folder of pictures, or a clip folder with frames/. REAL and every FAKE may also be
    folders of clips with the same names: their figures are put together, and the page shows the worst clips
    first.

    Args:
        real: the real clip, or a folder of clips
        fakes (FAKE): synthesised clips; NAME=PATH gives one a name in the report. Others are compared with
            the first
        out (REPORT): folder for index.html, report.json, report.csv and the videos
        size (WxH): score at this size (default: that of the synthesised clips)
        frames (START:STOP): score a part of the real clips (default: all that the synthesised clips hold)
        given (N): leading frames that were given to the model; they are shown, but not scored
        controls: add the first frame copied, and each clip blurred; a figure they beat means little
        styles: the fakes are styles of one model: measure how far they lie apart
        protocol (NAME): score as a benchmark does: cityscapes-prediction, street-synthesis, deraining or
            sign-language
        flow: optical flow that motion is measured with: dis, raft, raft:FILE, or exact (flow files of the
            real clip)
        lpips: perceptual distance: alex, vgg, alex:FILE, vgg:FILE, none; auto takes alex where its weights
            are at hand
        features (NETWORK): Frechet and kernel distances between the features of a network (FID, FVD, KID);
            may be repeated. inception_v3, resnet50, r3d_18, mc3_18, r2plus1d_18, s3d, each also with :FILE;
            script:FILE:FRAMES for a TorchScript file such as I3D's (a program: only from people you trust);
            videomae:NAME
        stride (N): frames between the starts of the windows they see (default: windows do not overlap)
        segmenter (FOLDER): a segmenter written by --fit-segmenter, or hub:NAME: class IoU and pixel accuracy
            against the real clip's label maps
        fit_segmenter (DATASET): train a small segmenter on real frames and labels first; it is kept in REPORT
        fit_frames (START:STOP): the part of DATASET's clips it learns from
        window (N): frames per window of the drift figures
        seed (N): of what is drawn: bootstrap, subsets
        device: auto, cpu, cuda, cuda:1 or mps: where networks run

    Example:
        vid2vid evaluate data/street/frames ours.mp4 twin=twin.mp4 --out report --controls
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.evaluation import evaluate as score
    from vid2vid.evaluation import markdown_table

    with Bar("evaluate") as bar:
        report = score(
            real,
            fakes,
            out,
            size=size,
            frames=frames,
            protocol=protocol,
            flow=flow,
            lpips=lpips,
            features=features or (),
            stride=stride,
            segmenter=segmenter,
            fit=fit_segmenter,
            fit_frames=fit_frames,
            controls=controls,
            styles=styles,
            given=given,
            window=window,
            seed=seed,
            device=device,
            progress=bar,
        )
    print(markdown_table(report))
    print(f"Figures: {out / 'report.json'}, report.csv\nTo look at: {out / 'index.html'}")

"""Estimators: the direction of the flow, any picture size, and what is said when weights are not at hand."""

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from vid2vid.errors import UserError
from vid2vid.flow import FlowEstimator, open_estimator, read_exact_flow


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with detail at several scales, (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.5, 4, 9)]
    return np.clip(128 + 60 * sum(layers), 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path) -> Iterator[Path]:
    """An empty cache of torchvision, so that no test depends on what this machine has fetched."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture(scope="module")
def untrained() -> dict[str, torch.Tensor]:
    """Weights of the right names and shapes that know nothing."""
    torch.manual_seed(0)
    return raft_small().state_dict()


@pytest.mark.parametrize("spec", ["dis", "dis-fine"])
def test_flow_points_from_the_current_frame_back_to_the_previous_one(spec: str) -> None:
    picture = texture(140, 180)
    previous, current = picture[10:110, 10:150], picture[13:113, 4:144]
    flow = open_estimator(spec).estimate(current, previous)  # what is at p now was at p + (-6, 3)
    assert flow.shape == (2, 100, 140)
    assert flow.dtype == np.float32
    assert flow.flags.c_contiguous
    inside = flow[:, 12:-12, 12:-12]
    np.testing.assert_allclose(np.median(inside, axis=(1, 2)), [-6, 3], atol=0.05)


@pytest.mark.parametrize("spec", ["dis", "dis-fine"])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (7, 300), (11, 11), (12, 12), (17, 33), (300, 5), (64, 65)]
)
def test_dis_takes_any_size(spec: str, size: tuple[int, int]) -> None:
    picture = texture(*size)
    flow = open_estimator(spec).estimate(picture, picture)
    assert flow.shape == (2, *size)
    assert np.isfinite(flow).all()


def test_dis_is_what_the_measuring_stick_uses() -> None:
    """Grey, preset medium, and no state between calls."""
    one, other = texture(80, 90, 1), texture(80, 90, 2)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other)]
    expected = cv2.DISOpticalFlow_create(2).calc(*grey, None)
    dis = open_estimator("dis")
    for _ in range(2):
        np.testing.assert_array_equal(dis.estimate(one, other), expected.transpose(2, 0, 1))


@pytest.mark.parametrize(("pair", "limit"), [("RubberWhale", 0.25), ("Venus", 0.42)])
def test_dis_on_pairs_with_known_flow(clips: Path, pair: str, limit: float) -> None:
    folder = clips / "flow_middlebury" / pair
    truth, unknown = read_exact_flow(folder / "flow10.flo")
    current, previous = (cv2.imread(str(folder / f"frame1{k}.png"))[..., ::-1] for k in (0, 1))
    errors = {}
    for spec in ("dis", "dis-fine"):
        flow = open_estimator(spec).estimate(np.ascontiguousarray(current), np.ascontiguousarray(previous))
        errors[spec] = np.linalg.norm(flow - truth, axis=0)[~unknown].mean()
    assert errors["dis"] < limit
    assert errors["dis-fine"] < errors["dis"]


@pytest.mark.parametrize(
    ("current", "previous"),
    [
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8)),
        (np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)),
        (np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.float32)),
        (np.zeros((0, 20, 3), np.uint8), np.zeros((0, 20, 3), np.uint8)),
    ],
)
def test_other_pictures_are_refused(current: np.ndarray, previous: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected an RGB picture|two sizes"):
        open_estimator("dis").estimate(current, previous)


def test_fingerprints_and_names_tell_estimators_apart() -> None:
    plain, fine = open_estimator("dis"), open_estimator("dis-fine")
    assert (plain.name, fine.name) == ("dis", "dis-fine")
    assert plain.fingerprint != fine.fingerprint
    assert cv2.__version__ in plain.fingerprint


@pytest.mark.parametrize("spec", ["", "exact", "Dis", "raft-small", "dis:weights.pth", "auto:x"])
def test_unknown_estimators_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match="unknown estimator; use dis"):
        open_estimator(spec)


def test_raft_without_weights_says_where_it_looked_and_how_to_get_them(torch_home: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_estimator("raft")
    message = str(caught.value)
    assert message.startswith(f"{torch_home}: ")
    assert "raft_large_C_T_SKHT_V2" in message
    assert "raft:PATH" in message
    assert "\n" not in message
    assert open_estimator("auto").name == "dis"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_raft_from_a_named_file(tmp_path: Path, untrained: dict[str, torch.Tensor], suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(untrained, path)
    else:
        safetensors.torch.save_file(untrained, path)
    raft: FlowEstimator = open_estimator(f"raft:{path}", device=torch.get_default_device())
    assert raft.name == "raft-small"
    assert hashlib.sha256(path.read_bytes()).hexdigest() in raft.fingerprint
    one, other = texture(50, 133, 1), texture(50, 133, 2)
    flow = raft.estimate(one, other)
    assert flow.shape == (2, 50, 133)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    workers_copy = pickle.loads(pickle.dumps(raft))
    np.testing.assert_array_equal(workers_copy.estimate(one, other), flow)


def test_raft_from_the_cache_of_torchvision(torch_home: Path, untrained: dict[str, torch.Tensor]) -> None:
    """Found without being named; a file whose checksum differs from its name is damaged, also for auto."""
    torch_home.mkdir(parents=True)
    path = torch_home / Raft_Small_Weights.C_T_V2.url.rpartition("/")[2]
    torch.save(untrained, path)
    for spec in ("raft", "auto"):
        with pytest.raises(UserError, match="checksum differs from its name"):
            open_estimator(spec)


def test_weights_in_the_cache_that_match_their_name_are_used(
    torch_home: Path, untrained: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_home.mkdir(parents=True)
    torch.save(untrained, torch_home / "raft.pth")
    checksum = hashlib.sha256((torch_home / "raft.pth").read_bytes()).hexdigest()
    path = (torch_home / "raft.pth").rename(torch_home / f"raft_small-{checksum[:8]}.pth")
    monkeypatch.setattr("vid2vid.flow.estimators._raft_places", lambda: [torch_home / "absent.pth", path])
    assert open_estimator("auto").name == open_estimator("raft").name == "raft-small"


class Hostile:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple:
        return (print, ("code of a weights file was run",))


@pytest.mark.parametrize("case", ["absent", "text", "truncated", "foreign", "pickle", "list", "st", "folder"])
def test_bad_weights_are_one_line_naming_the_file(
    tmp_path: Path, untrained: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str], case: str
) -> None:
    path = tmp_path / ("w.safetensors" if case == "st" else "w.pth")
    if case in ("text", "st"):
        path.write_text("no weights")
    elif case == "truncated":
        torch.save(untrained, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif case == "foreign":
        torch.save({"conv.weight": torch.zeros(3)}, path)
    elif case == "pickle":
        torch.save({"conv": Hostile()}, path)
    elif case == "list":
        torch.save([torch.zeros(3)], path)
    elif case == "folder":
        path.mkdir()
    with pytest.raises(UserError) as caught:
        open_estimator(f"raft:{path}")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "code of a weights file" not in capsys.readouterr().out

"""The encoder against a literal reference of the published network, and the files it accepts and refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file
from torch import Tensor

from console.presets.load import load_preset
from console.settings import Settings
from policy.encoder import (
    HALF_WIDTH,
    Encoder,
    ResNet10Shape,
    load_encoder,
    load_network,
    random_encoder,
    random_network,
    save_network,
)
from policy.errors import EncoderError
from policy.settings import EncoderSettings

TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 12, 16, 20))
CPU = torch.device("cpu")


def same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad as JAX's 'SAME' does: the odd pixel at the bottom and right."""
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def reference(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published network, written out by hand from a table of weights."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.group_norm(x, 4, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-5)

    x = F.conv2d(F.pad(x, (3, 3, 3, 3)), weights["embedder.0.weight"], stride=2)
    x = F.max_pool2d(same(F.relu(norm(x, "embedder.1")), 3, 2, -math.inf), 3, 2)
    for stage in range(4):
        name, stride = f"encoder.stages.{stage}", 1 if stage == 0 else 2
        y = F.conv2d(same(x, 3, stride), weights[f"{name}.conv1.conv.weight"], stride=stride)
        y = F.relu(norm(y, f"{name}.norm1"))
        y = norm(F.conv2d(same(y, 3, 1), weights[f"{name}.conv2.conv.weight"]), f"{name}.norm2")
        if f"{name}.shortcut.0.conv.weight" in weights:
            x = F.conv2d(same(x, 1, stride), weights[f"{name}.shortcut.0.conv.weight"], stride=stride)
            x = norm(x, f"{name}.shortcut.1")
        x = F.relu(x + y)
    return x


def frames(count: int, size: int = 128) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


class TestAgainstTheReference:
    @pytest.mark.parametrize(
        ("size", "shape"),
        [(128, TINY), (127, TINY), (70, TINY), (128, ResNet10Shape())],
        ids=["128 px", "127 px", "70 px", "full width"],
    )
    def test_maps_equal_a_network_written_out_by_hand(self, size: int, shape: ResNet10Shape) -> None:
        network = random_network(1, shape)
        for parameter in network.parameters():  # norms are not the identity either
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
        pixels = frames(2, size)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        normalised = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
        expected = reference(dict(network.state_dict()), normalised)
        maps = Encoder(network, "test", torch.float32, CPU).encode(pixels)
        torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-5)

    def test_a_128_px_frame_gives_a_4x4_map_at_full_width(self) -> None:
        encoder = random_encoder(0, ResNet10Shape())
        assert encoder.encode(frames(1)).shape == (1, 512, 4, 4)
        assert encoder.channels == 512

    def test_parameter_names_and_count_are_those_of_the_hub(self) -> None:
        state = random_network(0, ResNet10Shape()).state_dict()
        # 7*7*3*64 + 4 stages of two 3x3 convolutions + three 1x1 shortcuts + affine norms = 4.9 million
        assert 4.85e6 < sum(t.numel() for t in state.values()) < 4.95e6
        for name in (
            "embedder.0.weight",
            "embedder.1.bias",
            "encoder.stages.0.conv1.conv.weight",
            "encoder.stages.3.norm2.weight",
            "encoder.stages.1.shortcut.0.conv.weight",
            "encoder.stages.1.shortcut.1.bias",
        ):
            assert name in state
        assert "encoder.stages.0.shortcut.0.conv.weight" not in state  # the first block keeps its width

    def test_bfloat16_stays_close_to_float32(self) -> None:
        exact = random_encoder(0).encode(frames(2))
        fast = Encoder(random_network(0), "test", torch.bfloat16, CPU).encode(frames(2))
        assert fast.dtype == torch.float32
        assert float((fast - exact).norm() / exact.norm()) < 0.02


class TestLoading:
    def test_a_folder_is_read_back_as_it_was_written(self, tmp_path: Path) -> None:
        network = random_network(3, TINY)
        save_network(network, tmp_path, torch.float32)
        loaded = load_encoder(EncoderSettings(source=str(tmp_path), dtype="float32"))
        assert loaded.sha256 == Encoder(network, "x", torch.float32, CPU).sha256
        assert loaded.channels == 20

    def test_the_configuration_of_the_hub_is_understood(self, tmp_path: Path) -> None:
        save_network(random_network(3, TINY), tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        hub = {
            "architectures": ["ResNet10"],
            "auto_map": {"AutoModel": "modeling_resnet.ResNet10"},
            "model_type": "resnet10",
            "torch_dtype": "float32",
            "transformers_version": "4.47.1",
            "pooler": "avg",
        }
        (tmp_path / "config.json").write_text(json.dumps(config | hub))
        assert load_network(tmp_path).shape.hidden_sizes == (8, 12, 16, 20)

    def test_names_of_older_revisions_are_accepted(self, tmp_path: Path) -> None:
        network = random_network(3, TINY)
        save_network(network, tmp_path, torch.float32)
        weights = load_file(tmp_path / "model.safetensors")
        old = {}
        for name, tensor in weights.items():
            older = name.replace(".conv.weight", ".weight")
            if ".norm1." in name or "embedder.1." in name or "shortcut.1." in name:
                head, tail = older.rsplit(".", 1)
                older = f"{head}.group_norm.{tail}"
            old[older] = tensor
        assert set(old) != set(weights)
        save_file(old, tmp_path / "model.safetensors")
        for name, tensor in load_network(tmp_path).state_dict().items():
            assert torch.equal(tensor, network.state_dict()[name])

    def test_the_same_seed_gives_the_same_half_width_network(self) -> None:
        settings = EncoderSettings(source="random:7", dtype="float32")
        first, second = load_encoder(settings), load_encoder(settings)
        assert first.sha256 == second.sha256 != random_encoder(8).sha256
        assert first.channels == HALF_WIDTH[-1]

    def test_the_hash_does_not_depend_on_the_arithmetic(self) -> None:
        network = random_network(0, TINY)
        half = Encoder(random_network(0, TINY), "x", torch.bfloat16, CPU)
        assert Encoder(network, "x", torch.float32, CPU).sha256 == half.sha256

    def test_transformers_reads_and_writes_the_same_files(self, tmp_path: Path) -> None:
        from policy.hub_model import ResNet10Model  # takes seconds to import

        save_network(random_network(3, TINY), tmp_path / "ours", torch.float32)
        model = ResNet10Model.from_pretrained(tmp_path / "ours")
        model.save_pretrained(tmp_path / "theirs")
        ours, theirs = load_network(tmp_path / "ours"), load_network(tmp_path / "theirs")
        pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.equal(model(pixels).last_hidden_state, ours(pixels))
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))

    def test_a_pinned_revision_is_read_from_the_hubs_cache_without_a_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revision = "0123456789abcdef0123456789abcdef01234567"
        network = random_network(5, ResNet10Shape())
        # Where `huggingface_hub` keeps what it has fetched.
        save_network(network, tmp_path / "models--lerobot--resnet10" / "snapshots" / revision, torch.float32)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        settings = load_preset(Settings, "real").learner.encoder.model_copy(update={"revision": revision})
        encoder = load_encoder(settings)
        assert encoder.name == f"hub:lerobot/resnet10@{revision}"
        assert encoder.channels == 512


class TestRefusals:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(EncoderError, match=r"config\.json is missing"):
            load_encoder(EncoderSettings(source=str(tmp_path)))

    def test_an_unknown_source_is_named(self) -> None:
        with pytest.raises(EncoderError, match=r"'resnet99'.*expected 'sim', 'random:<seed>', 'hub' or a folder"):
            load_encoder(EncoderSettings(source="resnet99"))

    def test_the_hub_demands_a_pinned_revision(self) -> None:
        with pytest.raises(EncoderError, match="no revision is pinned"):
            load_encoder(EncoderSettings(source="hub"))

    @pytest.mark.parametrize(
        ("damage", "message"),
        [("drop", "missing .*conv1"), ("extra", "unknown .*odd"), ("shape", "has .*demands"), ("nan", "NaN")],
    )
    def test_weights_that_do_not_fit_are_refused(self, tmp_path: Path, damage: str, message: str) -> None:
        save_network(random_network(3, TINY), tmp_path, torch.float32)
        weights = load_file(tmp_path / "model.safetensors")
        name = "encoder.stages.2.conv1.conv.weight"
        if damage == "drop":
            del weights[name]
        elif damage == "extra":
            weights["odd"] = torch.zeros(1)
        elif damage == "shape":
            weights[name] = weights[name][:-1].contiguous()
        else:
            weights[name][0, 0, 0, 0] = math.nan
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(EncoderError, match=message):
            load_encoder(EncoderSettings(source=str(tmp_path)))

    def test_frames_that_are_not_uint8_rgb_are_refused(self) -> None:
        with pytest.raises(EncoderError, match="expected uint8 RGB"):
            random_encoder(0, TINY).encode(torch.zeros(1, 3, 128, 128))

"""Decimated visual meshes of the Menagerie SO-101: 348,000 faces render in 400 ms, 20,000 in about one.

Only what is seen is decimated; collision meshes stay as they are. Vertices are merged per cell of a grid: quadric
simplification stops at a third of the faces on these CAD meshes, whose fillets are long slivers.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Edge of a cell. A pixel of the 128x128 wrist view sees about 2 mm of the jaw.
CELL_M = 0.004

Mesh = tuple[NDArray[np.float32], NDArray[np.int32]]  # vertices (V, 3) [m], faces (F, 3)


def model_path() -> Path:
    """The Menagerie SO-101 as MJCF, from the `so101-nexus` distribution."""
    return Path(str(files("so101_nexus"))) / "assets" / "SO101_menagerie" / "so101.xml"


def decimated(names: list[str]) -> dict[str, Mesh]:
    """The named meshes of the model (file names without ending), decimated; made once and cached on disk."""
    folder = model_path().parent / "assets"
    sources = {name: (folder / f"{name}.stl").read_bytes() for name in sorted(names)}
    digest = hashlib.sha256(repr(CELL_M).encode())
    for content in sources.values():
        digest.update(content)
    path = cache_folder() / f"so101-visuals-{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        _write_atomically(path, {name: _decimate(folder / f"{name}.stl") for name in sources})
    with np.load(path, allow_pickle=False) as stored:
        return {name: (stored[f"{name}.vertices"], stored[f"{name}.faces"]) for name in sources}


def cache_folder() -> Path:
    """Where files that can be made again lie: `$XDG_CACHE_HOME/nudge` or `~/.cache/nudge`."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nudge"


def _decimate(path: Path) -> Mesh:
    import trimesh  # costs 0.3 s, needed once per machine

    mesh = trimesh.load_mesh(path)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    _, cell, count = np.unique(np.floor(vertices / CELL_M), axis=0, return_inverse=True, return_counts=True)
    merged = np.zeros((len(count), 3))
    np.add.at(merged, cell.ravel(), vertices)
    merged /= count[:, None]
    kept = cell.ravel()[faces]
    kept = kept[(kept[:, 0] != kept[:, 1]) & (kept[:, 1] != kept[:, 2]) & (kept[:, 2] != kept[:, 0])]
    _, first = np.unique(np.sort(kept, axis=1), axis=0, return_index=True)
    return merged.astype(np.float32), kept[np.sort(first)].astype(np.int32)


def _write_atomically(path: Path, meshes: dict[str, Mesh]) -> None:
    arrays: dict[str, NDArray[np.float32] | NDArray[np.int32]] = {}
    for name, (vertices, faces) in meshes.items():
        arrays[f"{name}.vertices"] = vertices
        arrays[f"{name}.faces"] = faces
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may start at once on a fresh machine: each writes its own file, the last rename wins.
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub wants one array type for all
    Path(temporary.name).replace(path)

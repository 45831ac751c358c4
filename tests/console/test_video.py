"""Videos are written by the real ffmpeg and read back by OpenCV."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from console.video import VideoError, control_caption, side_by_side, write_video
from policy.experience import Source


def grey_frames(count: int, height_px: int = 64, width_px: int = 96) -> list[NDArray[np.uint8]]:
    """Frames that grow brighter by 20 each."""
    return [np.full((height_px, width_px, 3), 20 * index, np.uint8) for index in range(count)]


def read_back(path: Path) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    frames: list[NDArray[np.uint8]] = []
    while True:
        there, frame = capture.read()
        if not there:
            return frames
        frames.append(np.asarray(frame[:, :, ::-1], np.uint8))


class TestWriteVideo:
    def test_every_frame_comes_back_in_order(self, tmp_path: Path) -> None:
        path = tmp_path / "final.mp4"
        assert write_video(path, iter(grey_frames(11)), fps=10) == 11
        frames = read_back(path)
        assert [frame.shape for frame in frames] == [(64, 96, 3)] * 11
        # H.264 is lossy: flat grey survives within a few levels
        assert [float(frame.mean()) for frame in frames] == pytest.approx([20.0 * i for i in range(11)], abs=4)
        assert [file.name for file in tmp_path.iterdir()] == ["final.mp4"]

    def test_it_is_written_in_a_process_that_speaks_over_grpc_too(self, tmp_path: Path) -> None:
        server = grpc.server(ThreadPoolExecutor(1))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=20)
            for _ in range(30):  # it failed once in ten times
                write_video(tmp_path / "seen.mp4", grey_frames(3), fps=10)
        server.stop(0)

    def test_red_stays_red(self, tmp_path: Path) -> None:
        red = np.zeros((64, 64, 3), np.uint8)
        red[:, :, 0] = 200
        write_video(tmp_path / "red.mp4", [red] * 3, fps=10)
        assert read_back(tmp_path / "red.mp4")[1].mean(axis=(0, 1)) == pytest.approx([200, 0, 0], abs=8)

    def test_odd_sizes_are_padded_to_even_ones(self, tmp_path: Path) -> None:
        write_video(tmp_path / "odd.mp4", grey_frames(3, 63, 95), fps=10)
        assert read_back(tmp_path / "odd.mp4")[0].shape == (64, 96, 3)

    def test_no_frames_are_refused_and_leave_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="got no frame"):
            write_video(tmp_path / "none.mp4", [], fps=10)
        assert list(tmp_path.iterdir()) == []

    def test_a_frame_of_another_size_is_named_and_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match=r"frame 2 is uint8 \(32, 96, 3\)"):
            write_video(tmp_path / "mixed.mp4", [*grey_frames(2), *grey_frames(1, 32)], fps=10)
        assert list(tmp_path.iterdir()) == []

    def test_an_old_video_stays_when_the_new_one_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "final.mp4"
        write_video(path, grey_frames(4), fps=10)
        with pytest.raises(VideoError):
            write_video(path, [*grey_frames(2), *grey_frames(1, 32)], fps=10)
        assert len(read_back(path)) == 4

    def test_floats_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="float64"):
            write_video(tmp_path / "f.mp4", [np.zeros((8, 8, 3))], fps=10)  # type: ignore[list-item]


class TestSideBySide:
    def test_cameras_stand_beside_each_other_under_the_caption(self) -> None:
        wrist, front = np.full((16, 16, 3), 50, np.uint8), np.full((16, 32, 3), 90, np.uint8)
        picture = side_by_side({"wrist": wrist, "front": front}, "policy acts", upscale=4)
        # height: bar 44 + 16·4; width: 16·4 + gap 4 + 32·4
        assert picture.shape == (108, 196, 3)
        assert picture.dtype == np.uint8
        assert picture[100, 32].tolist() == [50, 50, 50]
        assert picture[100, 150].tolist() == [90, 90, 90]
        assert picture[:44].max() > 200  # the caption is there

    def test_a_lower_camera_is_brought_to_the_same_height(self) -> None:
        tall, low = np.zeros((32, 32, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)
        assert side_by_side({"tall": tall, "low": low}, "x", upscale=2).shape == (44 + 64, 64 + 4 + 64, 3)

    def test_what_the_font_cannot_draw_is_refused(self) -> None:
        with pytest.raises(VideoError, match="ASCII"):
            side_by_side({"wrist": np.zeros((16, 16, 3), np.uint8)}, "größer")

    def test_no_camera_is_refused(self) -> None:
        with pytest.raises(VideoError, match="0 cameras"):
            side_by_side({}, "x")

    def test_the_caption_says_who_acts_and_how_it_ended(self) -> None:
        assert control_caption(Source.POLICY, 12, None) == "policy acts   step 12"
        assert control_caption(Source.HUMAN, 3, True, "trial 4") == "trial 4   operator acts   step 3   success"

"""Settings from defaults, presets and options: who wins, what is refused in which words, and what is written back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field

from console.presets.file import CONFIGS, SettingsError, preset_names
from console.presets.load import deviations, dump_settings, load_preset, load_settings, parse_options
from console.settings import Settings
from console.settings_page import settings_page
from policy.contract import Frozen

ROOT = Path(__file__).resolve().parents[2]


class Lens(Frozen):
    """One item of a list."""

    name: str
    size_px: int = 128


class Learner(Frozen):
    """A section."""

    tau: float = Field(default=0.005, gt=0, le=1, description="Share of the new weights in a target update.")
    batch_size: int = Field(default=256, gt=0)
    head: Literal["discrete", "continuous"] = "continuous"
    decay: float | None = None
    layers: tuple[int, ...] = (256, 256)
    compile: bool = False


class Small(Frozen):
    """A root of the shape of ours: a required name, a required section, lists of models."""

    run: str
    seed: int = 0
    learner: Learner = Learner()
    lenses: tuple[Lens, ...] = ()
    main_lens: Lens


BASE = """\
# line 1 is a comment
run: base
main_lens: {name: wrist}
learner:
  tau: 0.01
  batch_size: 128
lenses:
  - name: wrist
  - {name: front, size_px: 64}
"""


def _folder(tmp_path: Path, **presets: str) -> Path:
    for name, text in {"base": BASE, **presets}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def _load(folder: Path, *argv: str) -> Small:
    return load_settings(Small, list(argv), "base", "nudge try", folder)


def _refusal(folder: Path, *argv: str) -> str:
    with pytest.raises(SettingsError) as raised:
        _load(folder, *argv)
    return str(raised.value).replace(f"{folder}/", "")


class TestPrecedence:
    def test_options_win_over_the_preset_and_the_preset_over_defaults(self, tmp_path: Path) -> None:
        settings = _load(_folder(tmp_path), "--learner.batch-size", "32")
        assert settings.learner == Learner(tau=0.01, batch_size=32)

    def test_a_preset_wins_over_the_one_that_it_extends(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path, fast="extends: base\nlearner:\n  tau: 0.02\nlenses: [{name: top}]\n")
        settings = _load(folder, "--preset", "fast", "--seed=7")
        # Sections are merged, lists are replaced.
        assert settings.learner == Learner(tau=0.02, batch_size=128)
        assert settings.lenses == (Lens(name="top"),)
        assert (settings.run, settings.seed) == ("base", 7)

    def test_kebab_and_snake_are_the_same_option(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path)
        assert _load(folder, "--main-lens.size-px", "9") == _load(folder, "--main_lens.size_px", "9")

    def test_every_kind_of_setting_has_an_option(self, tmp_path: Path) -> None:
        options = "--learner.head discrete --learner.decay 0.1 --learner.layers 64 32 --learner.compile True"
        settings = _load(_folder(tmp_path), *options.split(), "--lenses.1.size-px", "32")
        assert settings.learner == Learner(
            tau=0.01, batch_size=128, head="discrete", decay=0.1, layers=(64, 32), compile=True
        )
        assert settings.lenses[1] == Lens(name="front", size_px=32)

    def test_an_option_gives_what_the_preset_leaves_open(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path, bare="learner: {tau: 3e-4}\nmain_lens: {size_px: 5}\n")
        settings = _load(folder, "--preset", "bare", "--run", "r1", "--main-lens.name", "wrist")
        # YAML 1.1 reads 3e-4 as text; the model makes it a number.
        assert settings == Small(run="r1", learner=Learner(tau=3e-4), main_lens=Lens(name="wrist", size_px=5))

    def test_a_preset_is_given_by_path_too_and_extends_relative_to_itself(self, tmp_path: Path) -> None:
        (_folder(tmp_path) / "own").mkdir()
        (tmp_path / "own" / "mine.yml").write_text("extends: ../base.yaml\nseed: 5\n")
        assert _load(tmp_path, f"--preset={tmp_path}/own/mine.yml").seed == 5

    def test_a_verb_without_presets_takes_defaults_and_options(self) -> None:
        assert parse_options(Learner, ["--tau", "0.1"], "nudge try") == Learner(tau=0.1)


class TestRefusal:
    def test_an_unknown_setting_is_named_with_its_line_and_the_nearest_name(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path, fast="extends: base\nlearner:\n\n  batch_sise: 3\n")
        assert _refusal(folder, "--preset", "fast") == (
            "fast.yaml:4: learner.batch_sise: there is no such setting, did you mean 'batch_size'?"
        )

    def test_a_setting_in_the_wrong_section_is_told_where_it_belongs(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="extends: base\ntau: 0.1\n"), "--preset", "fast")
        assert text == "fast.yaml:2: tau: there is no such setting, did you mean 'learner.tau'?"

    def test_an_ill_typed_setting_is_named_with_what_was_got_and_expected(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="extends: base\nlearner: {batch_size: many}\n"), "--preset", "fast")
        assert text.startswith("fast.yaml:2: learner.batch_size: got 'many' (str), expected: a valid integer")

    def test_the_line_is_that_of_the_file_where_the_value_stands(self, tmp_path: Path) -> None:
        broken = BASE.replace("tau: 0.01", "tau: 0")
        text = _refusal(_folder(tmp_path, base=broken, fast="extends: base\nseed: 1\n"), "--preset", "fast")
        assert text == "base.yaml:5: learner.tau: got 0 (int), expected: greater than 0"

    def test_all_that_is_wrong_is_told_at_once(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="extends: base\nseed: x\nlearner: {head: both}\n"), "--preset", "fast")
        assert [line.split(": ")[1] for line in text.splitlines()] == ["seed", "learner.head"]

    def test_an_item_of_a_list_is_named_by_its_index(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path, fast="extends: base\nlenses:\n  - name: a\n  - size_px: 3\n")
        assert _refusal(folder, "--preset", "fast").startswith("fast.yaml:4: lenses[1].name: nothing is given")

    def test_an_alternative_of_a_union_is_no_part_of_the_name(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="extends: base\nlearner: {decay: slow}\n"), "--preset", "fast")
        assert text.startswith("fast.yaml:2: learner.decay: got 'slow' (str), expected: a valid number")

    def test_a_key_that_stands_twice_is_refused(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="seed: 1\nrun: a\nseed: 2\n"), "--preset", "fast")
        assert text == "fast.yaml:3: seed stands twice, first on line 1; remove one"

    def test_broken_yaml_is_named_with_its_line(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path, fast="seed: 1\nlearner: {tau: 1\n"), "--preset", "fast")
        assert text.startswith("fast.yaml:3: this is not YAML")

    def test_an_unknown_preset_gets_the_nearest_name(self, tmp_path: Path) -> None:
        text = _refusal(_folder(tmp_path), "--preset", "bass")
        assert text.startswith("there is no preset 'bass', did you mean 'base'?")

    def test_presets_that_extend_each_other_are_refused(self, tmp_path: Path) -> None:
        folder = _folder(tmp_path, a="extends: b\n", b="extends: a\n")
        assert "in a circle" in _refusal(folder, "--preset", "a")

    def test_an_unknown_option_ends_with_the_nearest_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            _load(_folder(tmp_path), "--learner.batch-sise", "3")
        assert ended.value.code == 2
        message = capsys.readouterr().err
        assert "--learner.batch-sise" in message
        assert "--learner.batch-size" in message

    def test_an_option_that_does_not_fit_names_itself(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            _load(_folder(tmp_path), "--learner.tau", "2")
        # The validation of the model, not only the parsing of the number, is told.
        assert "less than or equal to 1" in capsys.readouterr().err

    def test_a_required_setting_that_nobody_gives_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            _load(_folder(tmp_path, bare="main_lens: {name: a}"), "--preset", "bare")
        assert "--run" in capsys.readouterr().err


class TestWritingBack:
    @hypothesis_settings(max_examples=25, deadline=None)
    @given(
        run=st.from_regex(r"[a-z0-9_.é-]{1,20}", fullmatch=True),
        tau=st.floats(1e-8, 1.0),
        decay=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        layers=st.lists(st.integers(1, 4096), max_size=4).map(tuple),
    )
    def test_what_is_dumped_loads_to_an_equal_model(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        run: str,
        tau: float,
        decay: float | None,
        layers: tuple[int, ...],
    ) -> None:
        path = tmp_path_factory.mktemp("run") / "settings.yaml"
        learner = Learner(tau=tau, decay=decay, layers=layers)
        settings = Small(run=run, learner=learner, main_lens=Lens(name="on"), lenses=(Lens(name="1e3"),))
        dump_settings(settings, path)
        assert load_preset(Small, str(path)) == settings
        assert load_settings(Small, ["--preset", str(path)], "none", "nudge try") == settings

    def test_deviations_name_each_setting_that_differs(self) -> None:
        paper = Small(run="a", main_lens=Lens(name="w"), lenses=(Lens(name="front"),))
        ours = Small(
            run="a",
            learner=Learner(tau=0.01, layers=(64,)),
            main_lens=Lens(name="w"),
            lenses=(Lens(name="front", size_px=64), Lens(name="top")),
        )
        assert deviations(ours, paper) == [
            "learner.tau: 0.01 (paper: 0.005)",
            "learner.layers: [64] (paper: [256, 256])",
            "lenses[front].size_px: 64 (paper: 128)",
            "lenses[top].name: top (paper: absent)",
            "lenses[top].size_px: 128 (paper: absent)",
        ]

    def test_equal_settings_have_no_deviations(self) -> None:
        assert deviations(Learner(), Learner()) == []


class TestShipped:
    def test_the_page_of_settings_is_that_of_the_models(self) -> None:
        page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
        assert page == settings_page(Settings), "the models have changed: run `make docs`"

    @pytest.mark.parametrize("name", preset_names())
    def test_every_shipped_preset_loads(self, name: str) -> None:
        options = ["--preset", name, "--run", "try"]
        assert isinstance(load_settings(Settings, options, name, "nudge try", CONFIGS), Settings)

    def test_a_classifier_that_nobody_would_ask_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            load_settings(Settings, ["--judge.classifier", "lift-1"], "fast", "nudge try", CONFIGS)
        told = " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert "judge.classifier: got lift-1, but task.judge is simulator" in told
        mine = tmp_path / "mine.yaml"
        mine.write_text(f"extends: {CONFIGS}/fast.yaml\npreset_name: mine\njudge: {{classifier: lift-1}}\n")
        with pytest.raises(SettingsError, match=r"set task\.judge to classifier, or leave judge\.classifier out"):
            load_preset(Settings, str(mine))

    def test_the_classifier_of_a_run_is_in_its_folder_unless_another_is_named(self) -> None:
        asked = ["--task.judge", "classifier", "--run", "lift"]
        own = load_settings(Settings, asked, "fast", "nudge try", CONFIGS)
        named = load_settings(Settings, [*asked, "--judge.classifier", "lift-1"], "fast", "nudge try", CONFIGS)
        assert (own.classifier_folder, named.classifier_folder) == (Path("runs/lift/classifier"), Path("lift-1"))

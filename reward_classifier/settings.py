"""Settings of the reward classifier: labels, features, network, training, and the rule by which it pays."""

from __future__ import annotations

from pydantic import Field

from policy.contract import Frozen


class KeyLabelSettings(Frozen):
    """Which frames the operator's word about an episode labels."""

    positive_frames: int = Field(
        default=4, gt=0, description="The last frames of an episode that succeeded show the success."
    )
    negative_before_s: float = Field(
        default=2.0, ge=0, description="Earlier than this before its end, they do not [s]; in between nobody knows."
    )


class ViewSettings(Frozen):
    """Views of each labelled frame, each shifted and lit otherwise; the first is the frame as it is."""

    views: int = Field(default=5, ge=1, description="Views that are encoded of each labelled frame.")
    pad_px: int = Field(default=4, ge=0, description="A view is shifted by at most this [px].")
    brightness: float = Field(default=0.25, ge=0, lt=1, description="Spread of the brightness, as a share.")
    colour: float = Field(default=0.10, ge=0, lt=1, description="Spread of each colour channel's gain, as a share.")
    gamma: float = Field(default=0.25, ge=0, description="Spread of the logarithm of the exponent of brightness.")
    saturation: float = Field(default=0.3, ge=0, lt=1, description="Spread of the saturation, as a share.")
    positives: int = Field(default=1000, gt=0, description="Most positive frames that are learned from, evenly chosen.")
    negatives: int = Field(default=3000, gt=0, description="Most negative ones.")


class ModelSettings(Frozen):
    """Shape of the trainable network."""

    cameras: tuple[str, ...] = Field(default=(), description="Cameras that it looks through; none named: all.")
    proprioception: bool = Field(
        default=True, description="Whether it is told the joints too, which know a height better than pictures do."
    )
    spatial_features: int = Field(default=8, gt=0, description="Learned embeddings of each channel.")
    width: int = Field(default=64, gt=0, description="Outputs of each camera's head.")
    hidden: int = Field(default=64, gt=0, description="Width of the layer above the heads.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout probability of the embeddings.")


class FitSettings(Frozen):
    """How a network is fitted. Every batch is half positive, half negative."""

    batch_size: int = Field(default=128, ge=2, description="Frames of an update.")
    learning_rate: float = Field(default=5e-4, gt=0, description="Of AdamW.")
    weight_decay: float = Field(default=1e-2, ge=0, description="Of AdamW.")
    most_updates: int = Field(default=300, gt=0, description="Updates of a fit at most.")
    check_every: int = Field(default=20, gt=0, description="Updates between two looks at held-out episodes.")
    patience: int = Field(default=4, gt=0, description="Looks without progress after which a fit ends.")
    folds: int = Field(
        default=5, ge=3, description="Parts of the episodes: one is predicted, one says when to stop, others teach."
    )
    curve_shares: tuple[float, ...] = Field(
        default=(0.25, 0.5), description="Shares of the teaching episodes at which the learning curve is measured too."
    )


class GateSettings(Frozen):
    """What of the proprioception a success needs, learned from positive frames."""

    jaw: str = Field(
        default="joint.gripper", description="Dimension of the jaw, which must be closed on something; empty: none."
    )
    height: str = Field(default="tool.z", description="Dimension of the height, where the task lifts; empty: none.")
    quantile: float = Field(
        default=0.02, ge=0, lt=0.5, description="Share of the positive frames that may lie beyond either limit."
    )
    jaw_margin: float = Field(default=0.05, ge=0, description="The jaw's limits are wider by this [rad].")
    height_margin: float = Field(default=0.01, ge=0, description="The lowest height is lower by this [m].")


class RuleSettings(Frozen):
    """How the rule by which it pays is chosen."""

    false_positives_per_episode: float = Field(
        default=0.005, ge=0, lt=1, description="Share of episodes that may be paid for without success."
    )
    missed_successes: float = Field(
        default=0.02, ge=0, lt=1, description="Share of the successes that may be missed for a safer threshold."
    )
    windows: tuple[tuple[int, int], ...] = Field(
        default=((2, 2), (2, 3), (3, 3), (3, 4), (4, 4), (4, 5), (5, 5)),
        min_length=1,
        description="k of n from which one is chosen: so many of the last frames must look like success.",
    )
    minimum_step: int = Field(default=5, ge=0, description="No episode is paid for before this step.")


class ClassifierSettings(Frozen):
    """Everything that shapes a classifier."""

    seed: int = Field(default=0, ge=0, description="Seed of the split, the views, the weights and the batches.")
    views: ViewSettings = ViewSettings()
    model: ModelSettings = ModelSettings()
    fit: FitSettings = FitSettings()
    gate: GateSettings = GateSettings()
    rule: RuleSettings = RuleSettings()

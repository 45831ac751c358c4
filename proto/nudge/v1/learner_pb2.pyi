from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_POLICY: _ClassVar[Source]
    SOURCE_HUMAN: _ClassVar[Source]
    SOURCE_DEMO: _ClassVar[Source]
    SOURCE_HOLD: _ClassVar[Source]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_UNLIKELY: _ClassVar[Reason]
    REASON_TOO_FEW: _ClassVar[Reason]
    REASON_GATE: _ClassVar[Reason]
    REASON_TOO_EARLY: _ClassVar[Reason]
    REASON_SUCCESS: _ClassVar[Reason]
    REASON_PAID: _ClassVar[Reason]

class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERB_UNSPECIFIED: _ClassVar[Verb]
    VERB_PAUSE: _ClassVar[Verb]
    VERB_RESUME: _ClassVar[Verb]
    VERB_SUCCESS: _ClassVar[Verb]
    VERB_FAILURE: _ClassVar[Verb]
    VERB_RERECORD: _ClassVar[Verb]
    VERB_STOP: _ClassVar[Verb]
    VERB_EMERGENCY_STOP: _ClassVar[Verb]
    VERB_CHECKPOINT: _ClassVar[Verb]
    VERB_PAUSE_TRAINING: _ClassVar[Verb]
    VERB_RESUME_TRAINING: _ClassVar[Verb]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_DONE: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_NO_ACTOR: _ClassVar[Outcome]
    OUTCOME_TOO_LATE: _ClassVar[Outcome]
    OUTCOME_UNANSWERED: _ClassVar[Outcome]

class Control(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTROL_UNSPECIFIED: _ClassVar[Control]
    CONTROL_POLICY: _ClassVar[Control]
    CONTROL_ALIGNING: _ClassVar[Control]
    CONTROL_HUMAN: _ClassVar[Control]
    CONTROL_RELEASING: _ClassVar[Control]
    CONTROL_NOBODY: _ClassVar[Control]
SOURCE_UNSPECIFIED: Source
SOURCE_POLICY: Source
SOURCE_HUMAN: Source
SOURCE_DEMO: Source
SOURCE_HOLD: Source
REASON_UNSPECIFIED: Reason
REASON_UNLIKELY: Reason
REASON_TOO_FEW: Reason
REASON_GATE: Reason
REASON_TOO_EARLY: Reason
REASON_SUCCESS: Reason
REASON_PAID: Reason
VERB_UNSPECIFIED: Verb
VERB_PAUSE: Verb
VERB_RESUME: Verb
VERB_SUCCESS: Verb
VERB_FAILURE: Verb
VERB_RERECORD: Verb
VERB_STOP: Verb
VERB_EMERGENCY_STOP: Verb
VERB_CHECKPOINT: Verb
VERB_PAUSE_TRAINING: Verb
VERB_RESUME_TRAINING: Verb
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_DONE: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_NO_ACTOR: Outcome
OUTCOME_TOO_LATE: Outcome
OUTCOME_UNANSWERED: Outcome
CONTROL_UNSPECIFIED: Control
CONTROL_POLICY: Control
CONTROL_ALIGNING: Control
CONTROL_HUMAN: Control
CONTROL_RELEASING: Control
CONTROL_NOBODY: Control

class HelloRequest(_message.Message):
    __slots__ = ("protocol_version", "contract_hash", "contract_json", "actor_id", "session", "judge")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_HASH_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_JSON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    protocol_version: str
    contract_hash: str
    contract_json: str
    actor_id: str
    session: str
    judge: str
    def __init__(self, protocol_version: _Optional[str] = ..., contract_hash: _Optional[str] = ..., contract_json: _Optional[str] = ..., actor_id: _Optional[str] = ..., session: _Optional[str] = ..., judge: _Optional[str] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("protocol_version", "run_id", "last_durable", "policy_version", "policy_spec_json", "shared_demonstrations")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_DURABLE_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    SHARED_DEMONSTRATIONS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: str
    run_id: str
    last_durable: StepId
    policy_version: int
    policy_spec_json: str
    shared_demonstrations: int
    def __init__(self, protocol_version: _Optional[str] = ..., run_id: _Optional[str] = ..., last_durable: _Optional[_Union[StepId, _Mapping]] = ..., policy_version: _Optional[int] = ..., policy_spec_json: _Optional[str] = ..., shared_demonstrations: _Optional[int] = ...) -> None: ...

class StepId(_message.Message):
    __slots__ = ("session", "episode", "step")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    session: str
    episode: int
    step: int
    def __init__(self, session: _Optional[str] = ..., episode: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("camera", "png")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    camera: str
    png: bytes
    def __init__(self, camera: _Optional[str] = ..., png: _Optional[bytes] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("frames", "proprioception", "sim_only")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    PROPRIOCEPTION_FIELD_NUMBER: _ClassVar[int]
    SIM_ONLY_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    proprioception: bytes
    sim_only: bytes
    def __init__(self, frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ..., proprioception: _Optional[bytes] = ..., sim_only: _Optional[bytes] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("probability", "reason")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    probability: float
    reason: Reason
    def __init__(self, probability: _Optional[float] = ..., reason: _Optional[_Union[Reason, str]] = ...) -> None: ...

class Clipped(_message.Message):
    __slots__ = ("tool", "joints")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    JOINTS_FIELD_NUMBER: _ClassVar[int]
    tool: bool
    joints: bool
    def __init__(self, tool: _Optional[bool] = ..., joints: _Optional[bool] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("id", "observation", "action", "source", "reward", "terminated", "truncated", "policy_version", "monotonic_ns", "wall_ns", "final_observation", "rejected", "judgement", "clipped")
    ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    FINAL_OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    observation: Observation
    action: bytes
    source: Source
    reward: float
    terminated: bool
    truncated: bool
    policy_version: int
    monotonic_ns: int
    wall_ns: int
    final_observation: Observation
    rejected: bool
    judgement: Judgement
    clipped: Clipped
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., observation: _Optional[_Union[Observation, _Mapping]] = ..., action: _Optional[bytes] = ..., source: _Optional[_Union[Source, str]] = ..., reward: _Optional[float] = ..., terminated: _Optional[bool] = ..., truncated: _Optional[bool] = ..., policy_version: _Optional[int] = ..., monotonic_ns: _Optional[int] = ..., wall_ns: _Optional[int] = ..., final_observation: _Optional[_Union[Observation, _Mapping]] = ..., rejected: _Optional[bool] = ..., judgement: _Optional[_Union[Judgement, _Mapping]] = ..., clipped: _Optional[_Union[Clipped, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("last_durable", "steps_behind")
    LAST_DURABLE_FIELD_NUMBER: _ClassVar[int]
    STEPS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    last_durable: StepId
    steps_behind: int
    def __init__(self, last_durable: _Optional[_Union[StepId, _Mapping]] = ..., steps_behind: _Optional[int] = ...) -> None: ...

class WatchPolicyRequest(_message.Message):
    __slots__ = ("known_version",)
    KNOWN_VERSION_FIELD_NUMBER: _ClassVar[int]
    known_version: int
    def __init__(self, known_version: _Optional[int] = ...) -> None: ...

class PolicyChunk(_message.Message):
    __slots__ = ("version", "sha256", "total_bytes", "offset", "data")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    version: int
    sha256: bytes
    total_bytes: int
    offset: int
    data: bytes
    def __init__(self, version: _Optional[int] = ..., sha256: _Optional[bytes] = ..., total_bytes: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("run_id", "contract_hash", "phase", "env_steps", "episodes", "demo_episodes", "updates", "effective_utd", "updates_per_s", "policy_version", "metrics", "last_step_age_s", "steps_behind", "now_ns", "actors")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_HASH_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ENV_STEPS_FIELD_NUMBER: _ClassVar[int]
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    DEMO_EPISODES_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_UTD_FIELD_NUMBER: _ClassVar[int]
    UPDATES_PER_S_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_AGE_S_FIELD_NUMBER: _ClassVar[int]
    STEPS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    contract_hash: str
    phase: str
    env_steps: int
    episodes: int
    demo_episodes: int
    updates: int
    effective_utd: float
    updates_per_s: float
    policy_version: int
    metrics: _containers.ScalarMap[str, float]
    last_step_age_s: float
    steps_behind: int
    now_ns: int
    actors: _containers.RepeatedCompositeFieldContainer[ActorStatus]
    def __init__(self, run_id: _Optional[str] = ..., contract_hash: _Optional[str] = ..., phase: _Optional[str] = ..., env_steps: _Optional[int] = ..., episodes: _Optional[int] = ..., demo_episodes: _Optional[int] = ..., updates: _Optional[int] = ..., effective_utd: _Optional[float] = ..., updates_per_s: _Optional[float] = ..., policy_version: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., last_step_age_s: _Optional[float] = ..., steps_behind: _Optional[int] = ..., now_ns: _Optional[int] = ..., actors: _Optional[_Iterable[_Union[ActorStatus, _Mapping]]] = ...) -> None: ...

class CommandRequest(_message.Message):
    __slots__ = ("verb", "request_id", "actor_id", "episode", "asked_ns")
    VERB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    ASKED_NS_FIELD_NUMBER: _ClassVar[int]
    verb: Verb
    request_id: str
    actor_id: str
    episode: int
    asked_ns: int
    def __init__(self, verb: _Optional[_Union[Verb, str]] = ..., request_id: _Optional[str] = ..., actor_id: _Optional[str] = ..., episode: _Optional[int] = ..., asked_ns: _Optional[int] = ...) -> None: ...

class CommandReply(_message.Message):
    __slots__ = ("outcome", "actor_id", "reason")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    actor_id: str
    reason: str
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., actor_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WatchCommandsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ActorCommand(_message.Message):
    __slots__ = ("verb", "request_id", "episode", "expires_ns")
    VERB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    verb: Verb
    request_id: str
    episode: int
    expires_ns: int
    def __init__(self, verb: _Optional[_Union[Verb, str]] = ..., request_id: _Optional[str] = ..., episode: _Optional[int] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class ActorState(_message.Message):
    __slots__ = ("control", "episode", "step", "demonstrating", "paused", "awaited", "fault", "emergency")
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DEMONSTRATING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    EMERGENCY_FIELD_NUMBER: _ClassVar[int]
    control: Control
    episode: int
    step: int
    demonstrating: bool
    paused: str
    awaited: str
    fault: str
    emergency: str
    def __init__(self, control: _Optional[_Union[Control, str]] = ..., episode: _Optional[int] = ..., step: _Optional[int] = ..., demonstrating: _Optional[bool] = ..., paused: _Optional[str] = ..., awaited: _Optional[str] = ..., fault: _Optional[str] = ..., emergency: _Optional[str] = ...) -> None: ...

class CommandAnswer(_message.Message):
    __slots__ = ("request_id", "outcome", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    outcome: Outcome
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ReportStateRequest(_message.Message):
    __slots__ = ("state", "answers")
    STATE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    state: ActorState
    answers: _containers.RepeatedCompositeFieldContainer[CommandAnswer]
    def __init__(self, state: _Optional[_Union[ActorState, _Mapping]] = ..., answers: _Optional[_Iterable[_Union[CommandAnswer, _Mapping]]] = ...) -> None: ...

class ReportStateReply(_message.Message):
    __slots__ = ("now_ns",)
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    now_ns: int
    def __init__(self, now_ns: _Optional[int] = ...) -> None: ...

class ActorStatus(_message.Message):
    __slots__ = ("actor_id", "connected", "age_s", "state")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    actor_id: str
    connected: bool
    age_s: float
    state: ActorState
    def __init__(self, actor_id: _Optional[str] = ..., connected: _Optional[bool] = ..., age_s: _Optional[float] = ..., state: _Optional[_Union[ActorState, _Mapping]] = ...) -> None: ...

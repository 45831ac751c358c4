"""What lies where in a run folder."""

from learner.checkpoint_folder import POLICY

SETTINGS_FILE = "settings.yaml"  # resolved, written first
LEARNER_SETTINGS_FILE = "learner.yaml"  # those with which the learner was started last
READY_FILE = "learner.json"  # the learner's address, while it listens
STORE_FILE = "experience.sqlite"
SPOOL_FILE = "spool.sqlite"  # the actor's steps until the learner has them
METRICS_FILE = "metrics.jsonl"
REFERENCE_FOLDER = "reference"  # how the demonstrations looked, against which the cameras are watched
LOGS_FOLDER = "logs"  # what learner and actor have logged: JSON lines, rotated
WATCHDOG_LOG_FILE = "watchdog.log"  # what the arm's watchdog has done
TIMING_FILE = "timing.json"  # parts of the actor's tick
POLICY_FILE = POLICY  # the newest, that of the last checkpoint
CLASSIFIER_FOLDER = "classifier"  # the reward classifier that pays, where no other is named
CLASSIFIER_DATA_FOLDER = "classifier-episodes"  # what `nudge demo` recorded and labelled for it
VIDEO_FILE = "policy.mp4"
EVALUATION_SETTINGS_FILE = "evaluation.yaml"  # with which the dashboard has started an evaluation
EVALUATION_LOG_FILE = "evaluation.log"  # what that said
DASHBOARD_FILE = "dashboard.json"  # its address, while it is served
DASHBOARD_LOG_FILE = "dashboard.log"
DOCTOR_FILE = "doctor.html"  # what `nudge doctor` found last

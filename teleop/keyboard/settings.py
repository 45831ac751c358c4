"""Settings of the keyboard: how fast it moves the tool, where its keys come from, and which key does what."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, model_validator

from policy.contract import Frozen

# Keys with a name; any other is the character that it types.
NAMED_KEYS = (
    *("up", "down", "left", "right", "page_up", "page_down", "home", "end", "insert", "delete"),
    *("space", "enter", "backspace", "tab", "esc"),
)


class Keys(Frozen):
    """Which key does what: `up`, `page_up`, `space` and the like, or the character that it types."""

    forward: str = Field(default="up", description="Moves the tool away from the base, +x.")
    back: str = Field(default="down", description="Moves it towards the base.")
    left: str = Field(default="left", description="Moves it to the left as seen from the base, +y.")
    right: str = Field(default="right", description="Moves it to the right.")
    higher: str = Field(default="w", description="Moves it up, +z.")
    lower: str = Field(default="s", description="Moves it down.")
    open: str = Field(default="d", description="Opens the gripper.")
    close: str = Field(default="a", description="Closes it.")
    toggle: str = Field(default="space", description="Takes over from the policy, or gives back to it.")
    success: str = Field(default="enter", description="Ends the episode as a success.")
    failure: str = Field(default="backspace", description="Ends the episode as a failure.")
    rerecord: str = Field(default="r", description="Throws the episode away, to be made anew.")
    pause: str = Field(default="p", description="The arm holds still; pressed again, it goes on.")
    emergency_stop: str = Field(default="esc", description="Stops the arm at once.")

    @model_validator(mode="after")
    def _each_is_a_key_and_stands_once(self) -> Self:
        keys = self.model_dump()
        for purpose, key in keys.items():
            typed = len(key) == 1 and key.isprintable() and key == key.lower() and key != " "
            if not typed and key not in NAMED_KEYS:
                raise ValueError(
                    f"{purpose}: no key is called {key!r}; give the character that the key types without Shift, or "
                    f"one of {', '.join(NAMED_KEYS)}"
                )
        for key, count in Counter(keys.values()).items():
            if count > 1:
                both = " and ".join(purpose for purpose, other in keys.items() if other == key)
                raise ValueError(f"{both}: {key!r} stands for both; give each its own key")
        return self


class PageSettings(Frozen):
    """Where the page in the browser is served, with the source `page`."""

    host: str = Field(
        default="127.0.0.1",
        description="Address of this machine at which the page can be opened; beyond loopback its URL holds a token.",
    )
    port: int = Field(default=8091, ge=0, le=65535, description="Port of the page; 0: any that is free.")


class KeyboardSettings(Frozen):
    """How its keys move the tool."""

    speed: float = Field(default=0.5, gt=0, le=1, description="Action of a key that is held down, as a share of 1.")
    source: Literal["auto", "pynput", "terminal", "page"] = Field(
        default="auto",
        description="Where keys come from: `pynput` hears them go down and up; `terminal` hears the characters that "
        "they type, over ssh too; `page` hears them go down and up in a browser, on any machine; `auto` takes pynput "
        "where it can hear this terminal's keyboard, else the terminal, and says so.",
    )
    hold_s: float = Field(
        default=0.2, gt=0, le=1, description="How long a character moves the tool, with the source `terminal` [s]."
    )
    page: PageSettings = PageSettings()
    keys: Keys = Keys()

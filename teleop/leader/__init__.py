"""The leader arm: it mirrors the follower until a hand takes hold of it, and then the follower goes where it goes."""

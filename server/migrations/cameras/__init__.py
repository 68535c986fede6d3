"""The history of cameras, images, sessions and commands (seeds 000 to 002), and of wakestorm's own tables."""

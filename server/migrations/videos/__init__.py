"""The history of videos (seed 004): malls, pins and videos of phase 1, then uploads and processing jobs of phase 2."""

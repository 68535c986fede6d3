"""The history of originals (seed 003): projects and their images, then content-addressed originals."""

"""The house rules that no linter knows, over every file of the repository."""

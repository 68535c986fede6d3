"""Random and damaged input: nothing but a counted refusal may come of it."""

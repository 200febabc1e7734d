"""Annotated video: encoders that browsers can play, and recordings of streams in segments."""

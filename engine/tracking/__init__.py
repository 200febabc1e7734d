"""Identities of objects in videos and streams, and what follows from them: lines, zones and trails."""

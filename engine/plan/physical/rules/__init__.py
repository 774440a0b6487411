"""Rules of execution: they add stores and copies, and change no row."""

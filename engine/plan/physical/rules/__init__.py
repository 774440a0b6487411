"""Rules of execution: they add what is kept and copied, and change no row."""

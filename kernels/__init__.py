"""Compiled inner loops over arrays: a C++ library without Python in it, and its checked bindings."""

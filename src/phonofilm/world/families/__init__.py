"""The scene families: each file samples, draws and sounds one kind of scene."""

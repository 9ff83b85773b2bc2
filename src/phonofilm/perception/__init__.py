"""Frozen networks that see, hear and speak, used to control, curate and measure film with sound.

Ports of published networks keep the state-dict layout of their checkpoints and are built by
`published.load(Class, path)`. Embedded models, which install with the `evaluation` extra, are built
by `Class.load()`. Importing a module of this room loads no weights and no optional package.
"""

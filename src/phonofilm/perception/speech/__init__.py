"""Text to speech: a few voices behind one registry, and where each word of what they say lies in time.

`TextToSpeech()(text, voice)` gives `Spoken`: sound, its rate, and words with start and end. Voices install as packages
or are fetched by `phonofilm weights get NAME`; nothing here makes a connection.
"""

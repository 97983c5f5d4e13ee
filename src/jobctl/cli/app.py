"""The whole command line, for whoever asks which commands there are."""

from jobctl.cli.root import root_app

app = root_app()

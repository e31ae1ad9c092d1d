"""`python -m kontinual.serving --package DIR --version V --port P [--collector URL]`."""

from kontinual.serving.main import application

if __name__ == "__main__":
    application()(prog_name="python -m kontinual.serving")

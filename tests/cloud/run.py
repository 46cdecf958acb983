"""The cloud for engineers: `python -m tests.cloud.run` keeps one alive."""

import signal

from .cloud import Cloud


def main() -> None:
    """Start a cloud, and keep it until Ctrl-C."""
    with Cloud.start(guests=2) as cloud:
        cloud.warm_up(30)
        cloud.tell("warm")
        print(f"model {cloud.write_model(cloud.directory / 'model.yaml')}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()

"""Run the stand-in until it is told to end."""

import argparse
import pathlib
import signal

from tests.lab.cloud import server


def main() -> None:
    """Serve the description that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.cloud")
    parser.add_argument("--description", type=pathlib.Path, required=True, help="JSON file of the cloud's objects")
    parser.add_argument("--listen", default="127.0.0.1:0", help="ADDRESS:PORT, port 0 picks a free one")
    parser.add_argument("--certificate", type=pathlib.Path, help="PEM file of a certificate and its key: serve TLS")
    arguments = parser.parse_args()
    address, _, port = arguments.listen.rpartition(":")
    cloud = server.Server(
        arguments.description, address=address.strip("[]"), port=int(port), certificate=arguments.certificate
    )
    # The signal is taken by this thread: shutdown() must not be called from the one that serves.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with cloud:
        print(f"listening on {cloud.url}", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()

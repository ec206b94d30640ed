"""`python -m jupyter_workspaces.local`: run the local cluster until it is stopped.

`launch.start` runs it in the background with `--detached`; without that it runs in the foreground.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import os
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from jupyter_workspaces.common.listeners import descriptors, log_limit
from jupyter_workspaces.common.terminal import SafeRecords, indented
from jupyter_workspaces.localkube.directory import Directory, LocalClusterError
from jupyter_workspaces.localkube.lock import DirectoryInUse, exclusive

from .launch import ANOTHER_RUNS, FAILED
from .parts import add_options, from_options
from .settings import cluster_directory

LOG_BYTES = 2 * 2**20
LOG_FILES = 3


def main() -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_workspaces.local",
        description="Run the local cluster until Ctrl+C.",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=None,
        help="data directory (default: $JUPYTER_WORKSPACES_HOME, or one in Jupyter's)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        help="port of the API server, kept for later starts (default: the last one, or a free one)",
    )
    parser.add_argument(
        "--detached",
        action="store_true",
        help="log to the file `log` in the directory and close the standard streams once ready",
    )
    add_options(parser)
    chosen = parser.parse_args()
    try:
        parts = from_options(chosen)
    except ValueError as error:
        parser.error(str(error))
    if chosen.port is not None and not 0 < chosen.port < 65536:
        parser.error("--port must be between 1 and 65535")
    directory = cluster_directory(chosen.directory)
    descriptors.raise_limit()
    try:
        directory.prepare()
        _log(directory, chosen.detached)
        with exclusive(directory):
            # Imported with the lock held, so that a second process ends without this delay.
            from .process import AuthorityRenewed, run

            while True:
                try:
                    asyncio.run(
                        run(
                            directory,
                            chosen.port,
                            _close_streams
                            if chosen.detached
                            else lambda url: _print_ready(directory, url),
                            parts,
                        )
                    )
                    break
                except AuthorityRenewed:
                    logging.getLogger(__name__).warning(
                        "The local cluster has a new certificate authority. Restarting it."
                    )
    except LocalClusterError as error:
        logging.getLogger(__name__).log(
            logging.INFO if isinstance(error, DirectoryInUse) else logging.ERROR, "%s", error
        )
        print(indented(str(error)), file=sys.stderr)
        return ANOTHER_RUNS if isinstance(error, DirectoryInUse) else FAILED
    except KeyboardInterrupt:
        return 130
    except (
        Exception
    ):  # the process's outermost edge: its standard error may be closed by now, its log is not
        logging.getLogger(__name__).exception(
            "The local cluster ended because of an internal error"
        )
        raise
    return 0


def _log(directory: Directory, detached: bool) -> None:
    handler: logging.Handler
    if detached:
        try:
            handler = RotatingFileHandler(
                directory.log, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8"
            )
        except OSError as error:
            raise directory.refused(directory.log, error) from error
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
    else:
        handler = logging.StreamHandler()
    handler.addFilter(SafeRecords())
    logging.basicConfig(
        level=logging.INFO,
        handlers=[handler],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    log_limit.limit([handler])
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # A descriptor of its own: the handler closes its file when it rotates, and the number may then
    # belong to another file.
    faulthandler.enable(
        os.dup(
            handler.stream.fileno()
            if isinstance(handler, RotatingFileHandler) and handler.stream
            else 2
        )
    )


def _print_ready(directory: Directory, url: str) -> None:
    print(
        f"The local cluster is ready at {url}.\nexport KUBECONFIG={directory.kubeconfig}\n"
        "Press Ctrl+C to stop it; workspaces keep running.",
        flush=True,
    )


def _close_streams(url: str) -> None:
    """Close the standard streams: the starter no longer reads them, and the log has the rest."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())

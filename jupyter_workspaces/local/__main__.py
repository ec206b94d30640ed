"""`python -m jupyter_workspaces.local`: run the embedded cluster, in the foreground or for `launch.start`."""

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
from jupyter_workspaces.localkube.directory import (
    Directory,
    LocalClusterError,
    home,
    refused,
)
from jupyter_workspaces.localkube.lock import Held, Lock

from .launch import ANOTHER_RUNS, FAILED
from .parts import add_options, from_options

LOG_BYTES = 2 * 2**20
LOG_FILES = 3


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jupyter_workspaces.local",
        description="Run the embedded cluster until Ctrl+C.",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=None,
        help="where its data lies (default: JUPYTER_WORKSPACES_HOME or Jupyter's)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        help="listen here from now on (default: as last time, else a free one)",
    )
    parser.add_argument(
        "--detached",
        action="store_true",
        help="log to the directory's file `log`, say nothing once ready",
    )
    add_options(parser)
    chosen = parser.parse_args()
    try:
        parts = from_options(chosen)
    except ValueError as error:
        parser.error(str(error))
    if chosen.port is not None and not 0 < chosen.port < 65536:
        parser.error("--port must be between 1 and 65535")
    directory = Directory((chosen.directory or home()).expanduser().absolute())
    descriptors.raise_limit()
    try:
        directory.prepare()
        _log(directory, chosen.detached)
        with Lock(
            directory.lock
        ):  # before the heavy imports: one that comes second is gone at once
            from .process import AuthorityRenewed, run

            while True:
                try:
                    asyncio.run(
                        run(
                            directory,
                            chosen.port,
                            _hush if chosen.detached else lambda url: _tell(directory, url),
                            parts,
                        )
                    )
                    break
                except AuthorityRenewed:
                    logging.getLogger(__name__).warning(
                        "The cluster's certificate authority is a new one; the cluster starts again"
                    )
    except LocalClusterError as error:
        logging.getLogger(__name__).log(
            logging.INFO if isinstance(error, Held) else logging.ERROR, "%s", error
        )
        print(indented(str(error)), file=sys.stderr)
        return ANOTHER_RUNS if isinstance(error, Held) else FAILED
    except KeyboardInterrupt:
        return 130
    except (
        Exception
    ):  # the process's outermost edge: its standard error may be closed by now, its log is not
        logging.getLogger(__name__).exception("The local cluster ended by a fault of its own")
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
            raise refused(directory.log, error) from error
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
    # A descriptor of its own: the handler closes its file when it turns it over, and the number may then be another file's.
    faulthandler.enable(
        os.dup(
            handler.stream.fileno()
            if isinstance(handler, RotatingFileHandler) and handler.stream
            else 2
        )
    )


def _tell(directory: Directory, url: str) -> None:
    print(
        f"The local cluster answers at {url}.\nexport KUBECONFIG={directory.kubeconfig}\nCtrl+C stops it; workspaces keep running.",
        flush=True,
    )


def _hush(url: str) -> None:
    """The starter waits no longer and its pipe goes; what is still to be said is in the log."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m local.provider`: serve on a free loopback port, printed first, until SIGTERM or SIGINT."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from .service import Provider

# An archive of assets travels inside its message: the engine's own limit, in bytes.
_MAX_MESSAGE = 400 * 1024 * 1024
_STOP_SECONDS = 1.0


def main() -> None:
    """Serve until told to stop; calls in flight get a second."""
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, so that only this one waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    signal.sigwait(stop)
    server.stop(_STOP_SECONDS).wait()


if __name__ == "__main__":
    main()

"""The language host: the server that starts the engine's Pulumi programs and policy packs written in Python.

An official Pulumi install brings its own, `pulumi-language-python`; an engine built from its Go module has
none. Everything starts in the interpreter that runs this module: a project's `virtualenv` and `toolchain`
choose nothing here.
"""
# ruff: noqa: N802, ARG002  names and arguments are those of the gRPC service

import json
import os
import platform
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import (
    LanguageRuntimeServicer,
    add_LanguageRuntimeServicer_to_server,
)

from local.program import ALREADY_REPORTED

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""What the engine and the SDK allow on their own channels."""


def main() -> None:
    """Print the port, then serve until the engine interrupts this process or is gone.

    The engine's own address is the last argument. When it is done, the engine interrupts this process and its
    children as one group: the default action of SIGINT is the quiet end.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = grpc.server(
        ThreadPoolExecutor(),
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    add_LanguageRuntimeServicer_to_server(LanguageHost(engine=sys.argv[-1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()  # the engine holds the other end: it closes when the engine is killed
    server.stop(grace=None).wait()


class LanguageHost(LanguageRuntimeServicer):
    """The methods that `preview`, `up`, `refresh` and `destroy` need; any other answers 'unimplemented'."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Answer with the version of the Pulumi SDK."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Answer with none: the engine downloads what is listed here, but our provider is attached."""
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install nothing: programs share this interpreter's environment, which `uv sync` has made."""
        yield from ()

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """Name the interpreter."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List what is installed beside this interpreter."""
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package.name, version=package.version)
                for package in metadata.distributions()
            ]
        )

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run a program to its end; its output is this process's own, which the engine shows."""
        child = subprocess.Popen(
            [sys.executable, "-u", "-P", str(Path(__file__).with_name("program.py")), self.engine],
            cwd=request.pwd,
            env=os.environ
            | {
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            },
            stdin=subprocess.PIPE,
        )
        end_with_call(child, context)
        child.communicate(request.SerializeToString())
        if child.returncode == 0:
            return language_pb2.RunResponse()
        if child.returncode == ALREADY_REPORTED:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program ended with exit code {child.returncode}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Start a policy pack and relay what it writes, byte for byte, as it comes; last its exit code."""
        child = subprocess.Popen(
            # Unbuffered: a pack writes its port, which the engine waits for, without flushing it.
            [sys.executable, "-u", request.info.program_directory, *request.args],
            cwd=request.pwd,
            env=dict(variable.split("=", 1) for variable in request.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout
        assert child.stderr
        end_with_call(child, context)
        with selectors.DefaultSelector() as streams:
            streams.register(child.stdout, selectors.EVENT_READ)
            streams.register(child.stderr, selectors.EVENT_READ)
            while streams.get_map():
                for ready, _ in streams.select():
                    written = os.read(ready.fd, 65_536)
                    if not written:
                        streams.unregister(ready.fileobj)
                    elif ready.fileobj is child.stdout:
                        yield language_pb2.RunPluginResponse(stdout=written)
                    else:
                        yield language_pb2.RunPluginResponse(stderr=written)
        yield language_pb2.RunPluginResponse(exitcode=child.wait())


def end_with_call(child: subprocess.Popen[bytes], context: grpc.ServicerContext) -> None:
    """End the child when the engine's call ends: answered, cancelled, or cut off by the server's stop."""
    if not context.add_callback(child.terminate):
        child.terminate()

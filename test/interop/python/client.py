"""What a service in Python does with the cloud: stubs from the proto files, an API token, the mesh's CA.

Usage: client.py STUBS CLOUD CA_FILE TOKEN_FILE ACTION [ARGUMENT]. One line of JSON on standard output.
"""

import base64
import json
import os
import sys

STUBS, CLOUD, CA_FILE, TOKEN_FILE, ACTION, *ARGUMENTS = sys.argv[1:]
sys.path.insert(0, STUBS)

import google  # noqa: E402

# The system's package of that name does not know ours.
google.__path__ = [*google.__path__, os.path.join(STUBS, "google")]

import grpc  # noqa: E402
from google.rpc import error_details_pb2 as error_details  # noqa: E402
from google.rpc import status_pb2  # noqa: E402
from google.protobuf.json_format import MessageToDict  # noqa: E402
from occmesh.inventory.v1 import inventory_pb2 as inventory  # noqa: E402
from occmesh.inventory.v1 import inventory_pb2_grpc as inventory_grpc  # noqa: E402
from occmesh.readings.v1 import readings_pb2 as readings  # noqa: E402
from occmesh.readings.v1 import readings_pb2_grpc as readings_grpc  # noqa: E402

WITHIN = 10  # seconds


def read(path):
    with open(path, "rb") as file:
        return file.read()


def channel():
    transport = grpc.ssl_channel_credentials(root_certificates=read(CA_FILE))
    token = grpc.access_token_call_credentials(read(TOKEN_FILE).decode().strip())
    return grpc.secure_channel(CLOUD, grpc.composite_channel_credentials(transport, token))


def pages(call, request, page_size):
    """All pages of a list; the caller sees each answer as it came."""
    request.page_size = page_size
    while True:
        answer = call(request, timeout=WITHIN)
        yield answer
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def machines(to):
    stub = inventory_grpc.MachineServiceStub(to)
    size = int(ARGUMENTS[0])
    found = list(pages(stub.ListMachines, inventory.ListMachinesRequest(), size))
    return {
        "pages": [len(page.machines) for page in found],
        "machines": [MessageToDict(machine) for page in found for machine in page.machines],
    }


def latest(to):
    stub = readings_grpc.ReadingServiceStub(to)
    answer = stub.GetLatest(readings.GetLatestRequest(machine_id=ARGUMENTS[0]), timeout=WITHIN)
    return [MessageToDict(reading) for reading in answer.readings]


def query(to):
    stub = readings_grpc.ReadingServiceStub(to)
    request = readings.QueryReadingsRequest(machine_id=ARGUMENTS[0])
    return sum(len(page.readings) for page in stub.QueryReadings(request, timeout=WITHIN))


def watch(to):
    """The first readings that are stored from now on."""
    stub = readings_grpc.ReadingServiceStub(to)
    for page in stub.WatchReadings(readings.WatchReadingsRequest(), timeout=WITHIN):
        # The first message says only where it begins.
        if page.readings:
            return len(page.readings)


def create_sensor(to):
    stub = inventory_grpc.SensorServiceStub(to)
    request = inventory.CreateSensorRequest(machine_id=ARGUMENTS[0], kind="tcp", name="from python")
    request.settings.update({"host": "127.0.0.1", "port": int(ARGUMENTS[1])})
    return MessageToDict(stub.CreateSensor(request, timeout=WITHIN))


def explain(error):
    """What the status says for programs, by kind: ErrorInfo, BadRequest, RetryInfo."""
    known = {kind.DESCRIPTOR.full_name: kind for kind in (
        error_details.ErrorInfo, error_details.BadRequest, error_details.RetryInfo)}
    found = {}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            kind = known.get(detail.TypeName())
            if kind:
                found[kind.DESCRIPTOR.name] = MessageToDict(kind.FromString(detail.value))
    return found


def main():
    actions = {act.__name__: act for act in (machines, latest, query, watch, create_sensor)}
    try:
        with channel() as to:
            outcome = {"answer": actions[ACTION](to)}
    except grpc.RpcError as error:
        outcome = {
            "code": error.code().name,
            "details": error.details(),
            "explained": explain(error),
            "binary": {
                key: base64.b64encode(value).decode()
                for key, value in error.trailing_metadata() or ()
                if isinstance(value, bytes)
            },
        }
    print(json.dumps(outcome))


main()

import msgspec
import numpy as np
import pytest
from made import times_of

from autotune.outcome import ServiceTimes
from autotune.spec import ModelSpec, ServingConfig
from autotune.trial import wire


def test_requests_survive_the_pipe() -> None:
    request = wire.Open(
        model=ModelSpec(path="m.onnx", shapes={"x": [1, 2]}),
        shape=ServingConfig(replicas=2).session_shape,
    )
    assert wire.decode_request(wire.encode(request)) == request


def test_samples_survive_the_pipe_to_the_bit() -> None:
    reply = times_of(np.random.default_rng(0).random(50), 0.5)
    back = wire.decode_reply(wire.encode(reply))
    assert isinstance(back, ServiceTimes)
    np.testing.assert_array_equal(back.seconds, reply.seconds)
    assert back.cpu_s == 0.5


def test_other_number_types_are_sent_as_floats() -> None:
    sent = times_of(np.arange(3, dtype=np.float32)[::-1], 0.0)  # type: ignore[arg-type]
    back = wire.decode_reply(wire.encode(sent))
    assert isinstance(back, ServiceTimes)
    np.testing.assert_array_equal(back.seconds, [2.0, 1.0, 0.0])


def test_garbage_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_reply(b"\x00garbage")
    with pytest.raises(msgspec.ValidationError):
        wire.decode_reply(msgspec.msgpack.encode({"type": "served"}))

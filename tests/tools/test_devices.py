"""Devices have the rate of the dtype that is asked for."""

from versat2i.tools.devices import DEVICES, Device


def test_float32_has_a_rate_of_its_own():
    device = Device("one", 24, 100.0, 20.0)
    assert [device.rate(dtype) for dtype in ("bfloat16", "float16", "float32")] == [100.0, 100.0, 20.0]


def test_devices_are_named_once_and_half_is_the_faster():
    assert len({device.name for device in DEVICES}) == len(DEVICES)
    assert all(device.half > device.single > 0 for device in DEVICES)

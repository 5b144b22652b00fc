"""Devices that a run is estimated for, by what their makers state."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device.

    Attributes:
        name: its own.
        memory: in GB as its maker states it.
        half: dense products in bfloat16 with sums in float32, TFLOP/s.
        single: products in float32, TFLOP/s.
    """

    name: str
    memory: float
    half: float
    single: float

    def rate(self, dtype: str) -> float:
        """TFLOP/s in a dtype, at most; float16 as bfloat16."""
        return self.single if dtype == "float32" else self.half


# NVIDIA's sheets and white papers (Ada, L40S, A100, H100, H200); where they state a rate with sparsity, half of it
DEVICES = (
    Device("RTX 4090", 24, 165.2, 82.6),
    Device("L40S", 48, 362.0, 91.6),
    Device("A100 80GB", 80, 312.0, 19.5),
    Device("H100 SXM", 80, 989.0, 67.0),
    Device("H200", 141, 989.0, 67.0),
)

"""A network as an attack needs it: fixed weights, and the same bits for a sample in any batch."""

import copy

from torch import Tensor, nn

from icu_adversarial.attack.api import LANES


def for_attack(network: nn.Module) -> nn.Module:
    """Copy a network for an attack.

    Args:
        network: (B, T, C) → logits (B, 2).

    Returns:
        A copy in evaluation mode with the same logits, whose weights have no gradient. The dropout
        between the layers of its recurrent parts is off.
    """
    network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    for layer in network.modules():
        if isinstance(layer, nn.RNNBase):
            layer.dropout = 0.0
            layer.register_forward_pre_hook(_train_on_gpu)
        elif type(layer) is nn.Linear and layer.in_features % LANES:
            layer.__class__ = AlignedLinear  # all else of the layer stays, also its hooks
    return network


def _train_on_gpu(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Put a recurrent layer into training mode on a GPU.

    cuDNN refuses the backward pass in evaluation mode. Without dropout, both modes are the same.
    """
    if inputs[0].is_cuda:
        layer.train()


class AlignedLinear(nn.Linear):
    """The same linear layer with zeros next to its inputs.

    On some CPUs, the bits of a row depend on where it starts in memory, so on its place in the
    batch. With LANES inputs or a multiple, each row starts at an aligned place.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) → (..., outputs)."""
        zeros = (0, -self.in_features % LANES)
        x, weight = (nn.functional.pad(part, zeros) for part in (input, self.weight))
        return nn.functional.linear(x, weight, self.bias)

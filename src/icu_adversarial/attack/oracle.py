"""A network as an attack needs it: the gradient by its input, and no other.

The backward pass of nn.LSTM also computes the gradients of its weights, on a CPU even of frozen ones. There, `for_attack` puts an LSTM in its place
that leaves them out, in plain torch; a forward pass alone stays with nn.LSTM, which is faster. On a GPU, cuDNN leaves them out by itself.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

LANES = 16  # columns are a multiple of it: the bits of a stay then depend on no other

State = tuple[Tensor, Tensor]


def for_attack(network: nn.Module) -> nn.Module:
    """A copy of `network` in evaluation mode with the same logits, whose weights have no gradient. Its dropout inside nn.LSTM, if any, is off."""
    network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    for owner in list(network.modules()):
        for name, layer in list(owner.named_children()):
            if isinstance(layer, nn.LSTM):
                layer.dropout = 0.0
                setattr(
                    owner,
                    name,
                    InputGradientLSTM(layer) if InputGradientLSTM.can_stand_for(layer) else layer,
                )
            elif isinstance(layer, nn.Linear) and layer.in_features % LANES:
                setattr(owner, name, AlignedLinear(layer))
    return network


class AlignedLinear(nn.Module):
    """`linear` with zeros beside its inputs: on some CPUs the bits of a row depend on where it starts in memory, so on its place in the batch."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.missing = -linear.in_features % LANES
        self.linear = nn.Linear(linear.in_features + self.missing, linear.out_features)
        self.linear.weight = nn.Parameter(
            nn.functional.pad(linear.weight, (0, self.missing)), requires_grad=False
        )
        self.linear.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(nn.functional.pad(x, (0, self.missing)))
        return logits


class InputGradientLSTM(nn.Module):
    """`lstm` where no gradient is asked for or the weights are on a GPU; else the same function with a backward pass to its input alone.

    Input (B, T, C). Returns, as nn.LSTM does, the hidden states (B, T, 2 H) and the last hidden and cell state of each direction, (2, B, H); of the
    cell states, no gradient is known.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm
        forth, back = _weights(lstm)
        self.register_buffer("forth", forth, persistent=False)
        self.register_buffer("back", back, persistent=False)

    @staticmethod
    def can_stand_for(lstm: nn.LSTM) -> bool:
        return (
            lstm.num_layers == 1
            and lstm.bidirectional
            and lstm.bias
            and lstm.batch_first
            and not lstm.proj_size
        )

    def forward(self, x: Tensor) -> tuple[Tensor, State]:
        if x.is_cuda:
            self.lstm.train()  # cuDNN refuses the backward pass in evaluation mode; without dropout, both are the same
        if x.is_cuda or not (torch.is_grad_enabled() and x.requires_grad):
            return self.lstm(x)
        hours, last, cell = _LSTM.apply(x, self.get_buffer("forth"), self.get_buffer("back"))  # type: ignore[no-untyped-call]
        return hours, (last, cell)


def _weights(lstm: nn.LSTM) -> State:
    """Of both directions: (2, 4 H, H + C + 1), which makes the gates 2 g, i, f, o of [state, input, 1], and (2, H + C, 4 H), the way back."""
    H = lstm.hidden_size
    gates = torch.cat(
        [torch.arange(2 * H, 3 * H), torch.arange(2 * H), torch.arange(3 * H, 4 * H)]
    )  # torch has them as i, f, g, o
    weights = []
    for direction in ("", "_reverse"):
        of_state, of_input, *biases = (
            getattr(lstm, f"{name}_l0{direction}")[gates]
            for name in ("weight_hh", "weight_ih", "bias_hh", "bias_ih")
        )
        weights.append(torch.cat([of_state, of_input, sum(biases)[:, None]], 1))
    forth = torch.stack(weights).detach()
    back = forth[..., :-1].transpose(1, 2).contiguous()
    forth[:, :H] *= 2
    return forth, back


class _LSTM(torch.autograd.Function):
    """Both directions side by side, hour by hour, each a matrix (units, B): a product per direction and hour for the gates, one for the way back.

    Index 0 of the first axis of every tensor is the first hour of the forward direction and the last hour of the backward one. g, i, f, o: the gates,
    c' = f c + i g and h = o tanh(c'), as in Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. The forward pass keeps, per
    hour, what turns the gradients of c' and h into those of the gates' inputs: slope (4 H), and forget = f and open = o (1 - tanh(c')^2).
    tanh(z) is 2 sigmoid(2 z) - 1, which torch computes faster; 2 z comes from the weights where z is a gate.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, forth: Tensor, back: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (stays, T, C), H = x.shape, forth.shape[1] // 4
        B = -(-stays // LANES) * LANES
        inputs = x.new_empty(T + 1, 2, H + C + 1, B)
        inputs[0, :, :H], inputs[:, :, -1] = 0, 1
        by_hour = nn.functional.pad(x.transpose(0, 1), (0, 0, 0, B - stays)).contiguous()
        for t in range(T):  # a transposed copy of two dimensions is far faster than one of three
            inputs[t, 0, H:-1] = by_hour[t].t()
            inputs[T - 1 - t, 1, H:-1] = inputs[t, 0, H:-1]
        states = inputs[:, :, :H]

        slope, forget, opened = (
            x.new_empty(T, 2, 4 * H, B),
            x.new_empty(T, 2, H, B),
            x.new_empty(T, 2, H, B),
        )
        gates, c, tanh_c = x.new_empty(2, 4 * H, B), x.new_zeros(2, H, B), x.new_empty(2, H, B)
        (g, i, f, o), i_and_f, minus_one = (
            torch.split(gates, H, 1),
            gates[:, H : 3 * H],
            x.new_tensor(-1.0),
        )
        of_each = (
            inputs[:, 0],
            inputs[:, 1],
            states[1:],
            *torch.split(slope, H, 2),
            slope[:, :, H : 3 * H],
            forget,
            opened,
        )
        for ahead, behind, h, to_g, to_i, to_f, to_o, to_if, kept_f, open_ in zip(
            *map(torch.unbind, of_each), strict=False
        ):
            torch.mm(forth[0], ahead, out=gates[0])
            torch.mm(forth[1], behind, out=gates[1])
            gates.sigmoid_()
            torch.add(minus_one, g, alpha=2, out=g)
            kept_f.copy_(f)
            torch.mul(c, f, out=to_f)
            torch.mul(i, g, out=to_i)
            torch.add(to_f, to_i, out=c)
            torch.mul(c, 2, out=tanh_c).sigmoid_()
            torch.add(minus_one, tanh_c, alpha=2, out=tanh_c)
            torch.mul(o, tanh_c, out=h)
            torch.addcmul(i, to_i, g, value=-1, out=to_g)  # i (1 - g^2)
            to_if.addcmul_(to_if, i_and_f, value=-1)  # i g (1 - i), c f (1 - f)
            torch.addcmul(h, h, o, value=-1, out=to_o)  # tanh(c') o (1 - o)
            torch.addcmul(o, h, tanh_c, value=-1, out=open_)

        ctx.save_for_backward(slope, forget, opened, back)
        ctx.set_materialize_grads(False)
        cell = c.transpose(1, 2)[:, :stays].contiguous()
        ctx.mark_non_differentiable(cell)
        hours = x.new_empty(stays, T, 2 * H)
        for t in range(T):
            hours[:, t, :H], hours[:, t, H:] = (
                states[t + 1, 0].t()[:stays],
                states[T - t, 1].t()[:stays],
            )
        return hours, states[T].transpose(1, 2)[:, :stays].contiguous(), cell

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor | None) -> tuple[Tensor, None, None]:
        of_hours, of_last, _ = of_outputs
        slope, forget, opened, back = ctx.saved_tensors
        T, _, H, B = forget.shape
        of_inputs = slope.new_empty(T, 2, back.shape[1], B)
        of_states, of_x = of_inputs[:, :, :H], of_inputs[:, :, H:]
        of_gates, of_c = slope.new_empty(2, 4 * H, B), slope.new_zeros(2, H, B)
        of_gif, of_o = of_gates[:, : 3 * H].view(2, 3, H, B), of_gates[:, 3 * H :]
        of_each = (
            slope[:, :, : 3 * H].view(T, 2, 3, H, B),
            slope[:, :, 3 * H :],
            forget,
            opened,
            of_inputs[:, 0],
            of_inputs[:, 1],
            of_states,
        )
        of_h = slope.new_zeros(2, H, B)
        if of_last is not None:
            stays = of_last.shape[1]
            of_h[..., :stays] = of_last.transpose(1, 2)
        every: Any = [None] * T
        if of_hours is not None:
            stays = len(of_hours)
            forward, backward = torch.split(of_hours.permute(1, 2, 0), H, 1)
            every = nn.functional.pad(torch.stack([forward, backward.flip(0)], 1), (0, B - stays))
        hours = zip(*map(torch.unbind, of_each), every, strict=True)
        for to_gif, to_o, f, open_, ahead, behind, of_state, of_hour in reversed(list(hours)):
            if of_hour is not None:
                of_h += of_hour
            of_c.addcmul_(of_h, open_)
            torch.mul(of_c[:, None], to_gif, out=of_gif)
            torch.mul(of_h, to_o, out=of_o)
            of_c *= f
            torch.mm(back[0], of_gates[0], out=ahead)
            torch.mm(back[1], of_gates[1], out=behind)
            of_h = of_state
        by_hour = slope.new_empty(T, B, of_x.shape[2])
        for t in range(T):
            by_hour[t] = (of_x[t, 0] + of_x[T - 1 - t, 1]).t()
        return by_hour.transpose(0, 1)[:stays].contiguous(), None, None

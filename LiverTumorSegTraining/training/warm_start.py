"""Start from the weights of another model: load what fits, adapt the input channels, say what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.network import UNet
from torch import Tensor, nn

from LiverTumorSegTraining.training.fold import calibrate, folded, is_statistic, with_batch_norm


@dataclass(frozen=True)
class WarmStart:
    """Names of the weights that were loaded, loaded for other input channels, and left as initialised."""

    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        words = f"{len(self.loaded)} weights loaded"
        if self.adapted:
            words += f"; adapted to other input channels: {', '.join(self.adapted)}"
        return words + (f"; new, not in the bundle: {', '.join(self.left)}." if self.left else "; none left over.")


def warm_start(network: UNet, bundle: Bundle) -> WarmStart:
    """Load the weights of a bundle that fit by name and shape.

    A first convolution with another number of input channels gets the mean over the old channels in each new one,
    scaled so that the sum over the channels stays.

    Raises
    ------
    UsageError
        If nothing fits.
    """
    state = network.state_dict()
    fitting: dict[str, Tensor] = {}
    adapted: list[str] = []
    for name, tensor in bundle.weights.items():
        if name not in state:
            continue
        wanted, old = state[name].shape, tensor.float() if tensor.is_floating_point() else tensor
        if old.shape == wanted:
            fitting[name] = old
        elif _differs_in_channels(old, wanted) and old.shape[1] == bundle.network["in_channels"]:
            repeats = [1, wanted[1], *[1] * (len(wanted) - 2)]
            fitting[name] = old.mean(1, keepdim=True).repeat(repeats) * (old.shape[1] / wanted[1])
            adapted.append(name)
    if not fitting:
        raise UsageError(
            f"init_from: no weight of model {bundle.id!r} fits this network; use the network section it had."
        )
    network.load_state_dict(fitting, strict=False)
    loaded = sorted(set(fitting) - set(adapted))
    return WarmStart(tuple(loaded), tuple(sorted(adapted)), tuple(sorted(set(state) - set(fitting))))


def start(network: UNet, bundle: Bundle | None, samples: Callable[[], Tensor]) -> WarmStart | None:
    """Give a new network the weights it starts training with.

    Parameters
    ----------
    network : UNet
        Newly initialised; changed in place.
    bundle : Bundle or None
        What it starts from. A network without normalisation takes that of a bundle with it as fixed statistics.
    samples : callable
        Returns network input (N, C, ...) for the calibration of a network without normalisation; called when needed.

    Raises
    ------
    UsageError
        If no weight of the bundle fits.
    """
    if network.arguments["norm"] != "none" or (bundle is not None and bundle.network.get("norm") == "none"):
        return None if bundle is None else warm_start(network, bundle)
    normalised = with_batch_norm(network)
    normalised.load_state_dict(network.state_dict(), strict=False)
    started = None if bundle is None else warm_start(normalised, bundle)
    if started is None or started.left:
        calibrate(normalised, samples())
    network.load_state_dict(folded(normalised))
    if started is None:
        return None
    return replace(started, left=tuple(name for name in started.left if not is_statistic(name)))


def _differs_in_channels(old: Tensor, wanted: tuple[int, ...]) -> bool:
    return old.ndim == len(wanted) > 2 and old.shape[0] == wanted[0] and old.shape[2:] == wanted[2:]


def freeze(network: nn.Module, parts: list[str]) -> int:
    """Stop the training of the named parts of a network and return how many parameters that are.

    Parameters
    ----------
    network : Module
        Changed in place.
    parts : list of str
        Beginnings of parameter names, such as "stem" or "encoder.0".

    Raises
    ------
    UsageError
        If a part does not exist, or nothing is left to train.
    """
    frozen = 0
    for part in parts:
        chosen = [p for name, p in network.named_parameters() if name == part or name.startswith(f"{part}.")]
        if not chosen:
            names = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
            raise UsageError(
                f"optimiser.freeze names {part!r}, which the network does not have; it has {', '.join(names)}."
            )
        for parameter in chosen:
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    if all(not parameter.requires_grad for parameter in network.parameters()):
        raise UsageError("optimiser.freeze freezes the whole network: nothing is left to train.")
    return frozen

"""Which weights of a file are taken, whatever wrappers stand around their names."""

import numpy as np
import pytest
import safetensors.numpy

from hrnet_tf.weights.conversion import load_pytorch_checkpoint
from hrnet_tf.weights.errors import WeightsError
from hrnet_tf.weights.saved_states import choose_network, choose_state
from hrnet_tf.weights.tensor_files import read_tensors

BODY = ("conv1.weight", "stage2.0.branches.0.0.conv1.weight", "final_layer.bias")


def named(value, prefix="") -> dict[str, np.ndarray]:
    return {f"{prefix}{name}": np.full(1, value, np.float32) for name in BODY}


def chosen(saved, state=None) -> tuple[float, str]:
    """The value of all tensors that are taken, and what is said about it."""
    notes: list[str] = []
    tensors = choose_state("FILE", saved, state, notes)
    assert {name for name in tensors if name != "steps"} == set(BODY)
    return float(tensors["final_layer.bias"][0]), " ".join(notes)


# ---- wrappers ----


@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module._orig_mod.module.{name}",
        lambda name: f"state_dict.model.module.{name}",
        lambda name: f"model._forward_module._orig_mod.{name}",
        lambda name: name.replace("stage2.0.", "stage2.0.module."),
        lambda name: name.replace("conv1.", "_orig_mod.conv1."),
        lambda name: name.replace(".0.", "._checkpoint_wrapped_module.0."),
    ],
)
def test_wrappers_are_stripped_wherever_they_stand(wrap):
    saved = {wrap(name): tensor for name, tensor in named(1).items()}
    assert chosen(saved) == (1, "")


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@pytest.mark.parametrize("around", ["module.", "_orig_mod.", "backbone.module."])
def test_wrapped_files_of_both_kinds_convert(around, kind, official, tmp_path):
    expected = official("pose_hrnetv1_c4").weights
    head = "head.module." if around.startswith("backbone") else around
    weights = {
        (head if name.startswith("final") else around) + name: value
        for name, value in expected.items()
    }
    path = str(tmp_path / f"weights.{kind}")
    if kind == "pth":
        torch = pytest.importorskip("torch")
        state = {name: torch.from_numpy(value) for name, value in weights.items()}
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        safetensors.numpy.save_file(weights, path)
    conversion = load_pytorch_checkpoint(path)
    assert conversion.network.task == "pose"
    scale = conversion.network.variables["bn1.weight"]
    np.testing.assert_array_equal(scale, expected["bn1.weight"])


def test_a_name_that_is_there_twice_is_refused():
    saved = named(1) | named(2, "module.")
    with pytest.raises(WeightsError, match="conv1.weight twice, .* module.conv1.wei"):
        choose_state("FILE", saved, None, [])


# ---- several networks ----

# What stands before the names of networks, the first of which is to be taken, and how
# they are called.
SEVERAL = {
    "distillation": (["student.", "teacher."], ["student", "teacher"]),
    "OpenMMLab": (["t.backbone.", "s.backbone."], ["t", "s"]),
    "the outer one": (["", "net.hrnet."], ["", "net.hrnet"]),
    "the inner one": (["a.b.", "a."], ["a.b", "a"]),
    "three": (["b.", "a.", "c."], ["b", "a", "c"]),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_of_several_networks_the_one_that_is_named_is_taken(case):
    prefixes, names = SEVERAL[case]
    saved: dict[str, np.ndarray] = {}
    for number, prefix in enumerate(prefixes):
        saved |= named(number, prefix)
    with pytest.raises(WeightsError) as error:
        choose_network("FILE", saved, None)
    listed = ", ".join(repr(name) for name in sorted(names, key=lambda n: (len(n), n)))
    assert f"{len(names)} networks, whose tensors' names begin with {listed}: name" in (
        str(error.value)
    )
    with pytest.raises(
        WeightsError, match=f"no network under 'x', only under {listed}"
    ):
        choose_network("FILE", saved, "x")
    for choice in (names[0], f"{names[0]}."):
        assert choose_network("FILE", saved, choice) == named(0, prefixes[0])


def test_a_network_of_several_converts(official, tmp_path):
    expected = official("pose_hrnetv1_c4").weights
    weights = {f"teacher.{name}": value for name, value in expected.items()}
    weights |= {f"student.{name}": value * 0 for name, value in expected.items()}
    path = str(tmp_path / "two.safetensors")
    safetensors.numpy.save_file(weights, path)
    with pytest.raises(WeightsError, match="2 networks.*--prefix='student'"):
        load_pytorch_checkpoint(path, allow_partial=True)
    scale = load_pytorch_checkpoint(path, prefix="teacher").network.variables
    np.testing.assert_array_equal(scale["bn1.weight"], expected["bn1.weight"])


# ---- the model's own weights, and their averages ----

STATES = {
    "timm": ("state_dict.", "state_dict_ema."),
    "model_ema": ("model.", "model_ema."),
    "one in the other": ("model.", "ema.module."),
    "Lightning": ("state_dict.model.", "state_dict.ema_model.module."),
    "ema_state_dict": ("model_state_dict.", "ema_state_dict."),
    "no key of its own": ("", "ema."),
    "camel case": ("net.", "EMAModel."),
    "averages of AveragedModel": ("state_dict.", "swa_state_dict.module."),
}


@pytest.mark.parametrize("style", STATES)
def test_averages_are_taken_if_there_are_any_and_it_is_said(style):
    own, averages = STATES[style]
    saved = named(1, own) | named(2, averages)
    value, notes = chosen(saved)
    assert value == 2
    assert notes.startswith("Took the averages of the weights, under ")
    assert "; --state=model takes the model's own weights, " in notes
    assert chosen(saved, "ema") == (value, notes)
    value, notes = chosen(saved, "model")
    assert value == 1 and notes.startswith("Took the model's own weights, ")
    assert "--state=ema takes the averages of the weights, under" in notes


def test_mmengine_saves_the_averages_as_state_dict():
    saved = named(2, "state_dict.") | named(1, "ema_state_dict.module.")
    saved["ema_state_dict.steps"] = np.array(7)
    assert chosen(saved) == (
        2,
        "Took the averages of the weights, under state_dict; --state=model takes the "
        "model's own weights, under ema_state_dict.",
    )
    assert chosen(saved, "model")[0] == 1


def test_a_file_with_one_state_alone():
    own, averages = named(1, "state_dict."), named(2, "state_dict_ema.")
    assert chosen(own) == chosen(own, "model") == (1, "")
    with pytest.raises(WeightsError, match="FILE holds no averaged .*--state=ema"):
        choose_state("FILE", own, "ema", [])
    assert chosen(averages)[0] == 2
    assert (
        "Took the averages of the weights, under state_dict_ema:"
        in (chosen(averages)[1])
    )
    with pytest.raises(WeightsError, match="no weights but averaged .*--state=model"):
        choose_state("FILE", averages, "model", [])


def test_the_copies_of_the_older_ema_hook_are_left_out_and_said():
    copies = {
        f"ema_{name.replace('.', '_')}": tensor for name, tensor in named(2).items()
    }
    value, notes = chosen(named(1) | copies)
    assert value == 1 and "ema_conv1_weight" in notes and "EMAHook" in notes


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema_state_dict"])
def test_both_states_are_read_from_a_pth(key, tmp_path):
    torch = pytest.importorskip("torch")

    def state(value):
        tensors = named(value).items()
        return {name: torch.from_numpy(tensor) for name, tensor in tensors}

    path = str(tmp_path / "weights.pth")
    torch.save(
        {
            "epoch": 3,
            "optimizer": {"state": {0: {"momentum": torch.ones(1)}}},
            "best_state_dict": state(3),
            key: state(2),
            "model": "pose_hrnet",
            "state_dict": state(1),
        },
        path,
    )
    saved = read_tensors(path)
    assert chosen(saved)[0] == 2 and chosen(saved, "model")[0] == 1

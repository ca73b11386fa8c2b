"""What is called otherwise elsewhere, or mistyped, is named in the error."""

import inspect

import numpy as np
import pytest

import convnd
from convnd import kernels
from convnd.problem.arguments.names import ADVICE, ARGUMENTS, CHOICES, KERNELS

IMAGE, SQUARE = np.ones((8, 9)), np.ones((3, 3))
PLAN = convnd.plan(IMAGE, SQUARE)
LISTED = "there are x, kernel, padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary, "
LISTED += "fill_value, nan_policy, mask, method, dtype, out, beta, bias, workers"

# (what is given, what the error says of it)
ARGUMENT_ERRORS = [
    ({"mode": "same"}, 'it is padding="same" here'),
    ({"mode": "reflect"}, 'it is boundary="reflect" here (SciPy\'s "reflect" is "symmetric" here)'),
    ({"mode": "nearest"}, 'it is boundary="edge" here'),
    ({"mode": "zigzag"}, "it is boundary here"),
    ({"mode": SQUARE}, "it is boundary here"),
    ({"padding_mode": "circular"}, 'it is boundary="wrap" here'),
    ({"nan_treatment": "interpolate"}, 'it is nan_policy="omit" here'),
    ({"nan_treatment": "fill"}, "it is nan_policy here"),
    ({"pad": "symmetric"}, 'it is boundary="symmetric" here'),
    ({"borderType": 4}, "it is boundary here"),
    ({"weights": SQUARE}, "it is kernel here"),
    ({"n_jobs": -1}, "it is workers here"),
    ({"shape": "same"}, 'it is padding="same" here'),
    ({"ksize": 3}, "the kernel's shape says it"),
    ({"sigma": 2}, "convnd.kernels.gaussian(sigma) makes the kernel"),
    ({"spacing": (1, 2)}, "stride, dilation and padding count samples: divide lengths by it"),
    ({"pading": "same"}, "did you mean padding?"),
    ({"Stride": 2}, "it is stride here"),
    ({"feature_groups_count": 2}, "did you mean groups?"),
    ({"zorp": 1}, LISTED),
    ({"zorp": 1, "strides": 2}, LISTED),
    ({"a\nb": 1}, LISTED),
]


@pytest.mark.parametrize("given, words", ARGUMENT_ERRORS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("function", [convnd.convnd, convnd.plan], ids=lambda function: function.__name__)
def test_unknown_arguments(function, given, words):
    with pytest.raises(TypeError) as caught:
        function(IMAGE, SQUARE, **given)
    name = repr(next(iter(given)))
    assert str(caught.value) == f"{function.__name__}() has no argument {name}: {words}"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("function, given, words", [
    (PLAN, {"x": IMAGE, "output": 0}, "Plan.__call__() has no argument 'output': it is out here"),
    (PLAN, {"x": IMAGE, "pad": 1}, "Plan.__call__() has no argument 'pad': padding is an option of convnd.plan"),
    (PLAN.adjoint, {"y": IMAGE, "b": 0}, "Plan.adjoint() has no argument 'b': there are y, out"),
    (PLAN.adjoint, {"y": IMAGE, "stride": 2}, "Plan.adjoint() has no argument 'stride': stride is an option of"),
    (PLAN.kernel_gradient, {"x": IMAGE, "y": IMAGE, "b": 0}, "Plan.kernel_gradient() has no argument 'b': there are x"),
    (convnd.Stream, {"weights": SQUARE}, "Stream() has no argument 'weights': it is kernel here"),
    (convnd.window, {"x": IMAGE, "filter": SQUARE}, "window() has no argument 'filter': it is kernel here"),
    (convnd.blockwise, {"x": IMAGE, "filter": SQUARE}, "blockwise() has no argument 'filter': it is kernel here"),
    (convnd.Stream, {"kernel": SQUARE, "out": IMAGE}, "Stream() has no argument 'out': the result is a new array"),
    (convnd.Stream, {"kernel": SQUARE, "zorp": 1}, "Stream() has no argument 'zorp': there are kernel, axis, padding,"),
    (kernels.gaussian, {"std": 2}, "gaussian() has no argument 'std': there are sigma, fwhm"),
    (convnd.warmup, {"rank": 2}, "warmup() has no argument 'rank': did you mean ranks?"),
])  # fmt: skip
def test_of_other_functions(function, given, words):
    with pytest.raises(TypeError) as caught:
        function(**given)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("given, words", [
    ({"padding": "SAME"}, "it is 'same' here"),
    ({"padding": "reflect"}, "it is boundary='reflect' here"),
    ({"padding": "vaild"}, "did you mean 'valid'?"),
    ({"boundary": "BORDER_REFLECT_101"}, "it is 'reflect' here"),
    ({"boundary": "symetric"}, "did you mean 'symmetric'?"),
    ({"boundary": "same"}, "it is padding='same' here"),
    ({"method": "FFT"}, "it is 'fft' here"),
    ({"method": "oaconvolve"}, "it is 'fft' here"),
    ({"convention": "corr"}, "it is 'correlation' here"),
    ({"nan_policy": "interpolate"}, "it is 'omit' here"),
])  # fmt: skip
def test_unknown_values(given, words):
    ((name, value),) = given.items()
    names = ", ".join(map(repr, CHOICES[name]))
    with pytest.raises(ValueError) as caught:
        convnd.convnd(IMAGE, SQUARE, **given)
    assert str(caught.value) == f"{name} must be one of {names}, but is {value!r}: {words}"


@pytest.mark.parametrize("call, words", [
    (lambda f: f(IMAGE, SQUARE, "same"), "argument 3 is 'same': write padding=\"same\""),
    (lambda f: f(IMAGE, SQUARE, "nearest"), "argument 3 is 'nearest': write boundary=\"edge\""),
    (lambda f: f(IMAGE, -1, SQUARE), "write the kernel second; dtype is the ddepth of OpenCV"),
    (lambda f: f(IMAGE, SQUARE, None, 2, padding=1), "argument 3 is None: there are padding, stride,"),
    (lambda f: f(IMAGE, weights=SQUARE), "no argument 'weights': it is kernel here"),
    (lambda f: f(input=IMAGE, weight=SQUARE), "no argument 'input': it is x here"),
    (lambda f: f(IMAGE, sigma=2), "no argument 'sigma': convnd.kernels.gaussian(sigma) makes the kernel"),
    (lambda f: f(IMAGE, ksize=3), "no argument 'ksize': the kernel's shape says it"),
    (lambda f: f(IMAGE, SQUARE, "same", zorp=1), "no argument 'zorp'"),
    (lambda f: f(IMAGE), "missing 1 required positional argument: 'kernel'"),
])  # fmt: skip
@pytest.mark.parametrize("function", [convnd.convnd, convnd.plan], ids=lambda function: function.__name__)
def test_what_to_write_comes_before_what_is_missing(function, call, words):
    with pytest.raises(TypeError) as caught:
        call(function)
    assert str(caught.value).startswith(f"{function.__name__}() ") and words in str(caught.value)
    assert len(str(caught.value)) < 260 and caught.value.__suppress_context__


def test_an_error_of_the_type_that_a_call_raises_is_its_own():
    with pytest.raises(TypeError, match=r"^padding must be a whole number"):
        convnd.convnd(IMAGE, SQUARE, padding=1.5)


def test_a_value_that_is_like_no_other_gets_no_suggestion():
    with pytest.raises(ValueError, match=r"'winograd', but is 'zorp'$"):
        convnd.convnd(IMAGE, SQUARE, method="zorp")


@pytest.mark.parametrize("ours", ARGUMENTS)
def test_every_other_name_of_an_argument(ours):
    for theirs in ARGUMENTS[ours]:
        with pytest.raises(TypeError, match=rf"no argument '{theirs}': it is {ours} here$"):
            convnd.convnd(IMAGE, SQUARE, **{theirs: 0})


@pytest.mark.parametrize("name", CHOICES)
def test_every_other_name_of_a_value(name):
    for ours, others in CHOICES[name].items():
        for theirs in others:
            with pytest.raises(ValueError, match=f"but is '{theirs}': it is '{ours}' here$"):
                convnd.convnd(IMAGE, SQUARE, **{name: theirs})


@pytest.mark.parametrize("name, words", [
    *((theirs, f"did you mean {ours}?") for ours, names in KERNELS.items() for theirs in names),
    ("convolve", "write convnd.convnd"),
    ("Sobel", "did you mean sobel?"),
    ("motion", "did you mean motion_blur?"),
    ("zorp", f"there are {', '.join(KERNELS)}"),
])  # fmt: skip
def test_kernels(name, words):
    with pytest.raises(AttributeError) as caught:
        getattr(kernels, name)
    assert str(caught.value) == f"convnd.kernels has no {name!r}: {words}"


def test_the_module_of_kernels_shows_public_names_alone():
    assert dir(kernels) == sorted(KERNELS) == kernels.__all__
    assert all(callable(getattr(kernels, name)) for name in KERNELS)


def test_a_name_means_one_thing():
    for table in ARGUMENTS, KERNELS, *CHOICES.values():
        names = [name.lower() for ours, theirs in table.items() for name in (ours, *theirs)]
        assert len(names) == len(set(names))
    assert not ADVICE.keys() & {theirs for names in ARGUMENTS.values() for theirs in names}


def test_the_table_has_the_arguments_of_the_signature_which_shows_no_others():
    for function in convnd.convnd, convnd.plan:
        assert [*inspect.signature(function).parameters] == [*ARGUMENTS]
    for function in PLAN, PLAN.adjoint, PLAN.kernel_gradient, convnd.warmup:
        assert "unknown" not in inspect.signature(function).parameters


@pytest.mark.parametrize("name, words", [
    ("convolve", "did you mean convnd?"),
    ("filter2D", "did you mean convnd?"),
    ("blockwize", "did you mean blockwise?"),
    ("gaussian_filter", "write convnd(x, kernels.gaussian(...), padding='same')"),
    ("uniform_filter", "write convnd(x, kernels.box(...), padding='same')"),
    ("sobel", "write convnd(x, kernels.sobel(...), padding='same')"),
    ("gauss", "write convnd(x, kernels.gaussian(...), padding='same')"),
    ("laplace", "write convnd(x, kernels.laplacian(...), padding='same')"),
    ("gausian", "write convnd(x, kernels.gaussian(...), padding='same')"),
    ("median_filter", "there are convnd, blockwise, plan, warmup, window, Stream, Plan, Window, kernels"),
])  # fmt: skip
def test_functions_of_the_package(name, words):
    with pytest.raises(AttributeError) as caught:
        getattr(convnd, name)
    assert str(caught.value) == f"convnd has no {name!r}: {words}"

